"""A run folder: begun, gone on with, locked, recorded; and what trains in it."""
