"""The options, each with its type, range, traits and default.

The library and the command line use the same dataclasses. Nothing here imports torch or NumPy.
"""
