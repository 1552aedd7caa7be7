"""The extras: each a folder here that can be deleted. `charrnn.plugins` says what it may hold."""
