"""The characters of a text counted: a model of its own, and one that is mixed with a network.

`table` counts and predicts, `mixing` weighs the counts against a network. NumPy only.
"""

from charrnn.counts.mixing import ALONE, PRIOR, Counts, Weights, fit_weights, mixed
from charrnn.counts.table import MAX_CONTEXT, MAX_NODES, Counted, CountTable, best_context, count
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
