"""Compatibility with torch-rnn: its checkpoints and its command lines."""
