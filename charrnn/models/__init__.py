"""A trained model, and the files that contain one: model files and checkpoints."""
