"""How well a network predicts a text.

losses           a loss and its units; the lines of a text by how badly they were predicted
carried          the loss of a text as one stream: validation, `evaluate`, `score`, Python alike
windows          that of windows which each begin at the zero state
dynamic          that of a network which goes on learning from what it has been scored on
temperature_fit  the temperature at which it is lowest
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
