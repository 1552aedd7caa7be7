"""How well a network predicts a text.

score         a loss and its units; the check that what is scored sums to 1
stream        the loss of a text as one stream: validation, `evaluate`, `score` and Python alike
windows       that of windows which each begin at the zero state
dynamic       that of a network which goes on learning from what it has been scored on
temperature   that at which it is lowest
by_line       the lines of a text by how badly they were predicted
side_by_side  parts of a text in a CPU's threads
"""

from charrnn.evaluation.carried import character_losses, part_loss, score_ids, stream_loss
from charrnn.evaluation.dynamic import Rule, dynamic_loss, rule_for
from charrnn.evaluation.losses import Line, Score, require_numbers, strangest_first
from charrnn.evaluation.temperature_fit import Fitted, fitted_temperature
from charrnn.evaluation.windows import windows_loss

__all__ = [
    "Fitted",
    "Line",
    "Rule",
    "Score",
    "character_losses",
    "dynamic_loss",
    "fitted_temperature",
    "part_loss",
    "require_numbers",
    "rule_for",
    "score_ids",
    "strangest_first",
    "stream_loss",
    "windows_loss",
]
