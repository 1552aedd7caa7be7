"""The characters of a text counted: a model of its own, and one that is mixed with a network.

`passages` counts a text, `table` predicts by what was counted, `mixing` weighs it against a
network. NumPy only.
"""
