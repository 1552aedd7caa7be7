"""`charrnn inspect`: a page that shows how a trained model reads a passage."""
