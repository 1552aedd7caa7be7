"""What a trained model does with a passage: what `charrnn inspect` shows."""
