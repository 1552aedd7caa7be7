"""Characters and ids: vocabularies, named corpora, preprocessing."""
