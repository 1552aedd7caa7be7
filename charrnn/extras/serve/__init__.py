"""Models behind HTTP: completions as OpenAI's clients ask for them, for editors and a page."""
