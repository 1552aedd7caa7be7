"""What torch-rnn made and how it was called: its checkpoints, and its command lines."""
