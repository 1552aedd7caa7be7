"""Documents of word processors as training texts."""
