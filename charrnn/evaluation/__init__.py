"""The loss of a network on a text."""
