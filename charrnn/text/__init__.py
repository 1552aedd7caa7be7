"""Texts: files, corpora, vocabularies, preprocessing and prompts."""
