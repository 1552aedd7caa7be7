"""Models over HTTP: OpenAI's completions API, for editors, programs and a page."""
