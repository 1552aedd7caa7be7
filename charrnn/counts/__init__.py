"""The characters of a text counted: a model of its own, and one that is mixed with a network.

`passages` counts a text, `table` and `walk` predict by what was counted, `mixing` weighs it
against a network. NumPy only.
"""

from charrnn.counts.mixing import ALONE, PRIOR, Counts, Weights, fit_weights, mixed
from charrnn.counts.passages import MAX_CONTEXT, MAX_NODES, Counted, best_context, count
from charrnn.counts.table import CountTable
from charrnn.counts.walk import Walk

__all__ = [
    "ALONE",
    "MAX_CONTEXT",
    "MAX_NODES",
    "PRIOR",
    "CountTable",
    "Counted",
    "Counts",
    "Walk",
    "Weights",
    "best_context",
    "count",
    "fit_weights",
    "mixed",
]
