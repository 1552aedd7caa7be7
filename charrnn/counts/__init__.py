"""The characters of a text counted: a model of its own, and one that is mixed with a network.

`passages` counts a text, `table` predicts by what was counted, `mixing` weighs it against a
network. NumPy only.
"""

from charrnn.counts.mixing import ALONE, PRIOR, Counts, Weights, fit_weights, mixed
from charrnn.counts.passages import MAX_CONTEXT, best_context, count
from charrnn.counts.table import CountTable

__all__ = [
    "ALONE",
    "MAX_CONTEXT",
    "PRIOR",
    "CountTable",
    "Counts",
    "Weights",
    "best_context",
    "count",
    "fit_weights",
    "mixed",
]
