"""How much of a text is copied from the text that a model was trained on, and text that is not."""
