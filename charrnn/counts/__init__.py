"""Character counts of a text, a model that predicts by them, and its mixture with a network.

`passages` counts a text, `table` predicts by the counts, and `mixing` mixes them with a network.
"""
