"""The page for writing: served by `charrnn serve`, or exported as a file with a model in it."""
