"""A page to write on: served by `charrnn serve`, or exported with a model in it."""
