"""How well a network predicts a text.

score         a loss and its units; the check that what is scored sums to 1
stream        the loss of a text as one stream: validation, `evaluate`, `score` and Python alike
windows       that of windows which each begin at the zero state
dynamic       that of a network which goes on learning from what it has been scored on
by_line       the lines of a text by how badly they were predicted
side_by_side  parts of a text in a CPU's threads
"""

from charrnn.evaluation.by_line import Line, strangest_first
from charrnn.evaluation.dynamic import Rule, dynamic_loss, rule_for
from charrnn.evaluation.score import Score, require_numbers
from charrnn.evaluation.stream import character_losses, part_loss, score_ids, stream_loss
from charrnn.evaluation.windows import windows_loss

__all__ = [
    "Line",
    "Rule",
    "Score",
    "character_losses",
    "dynamic_loss",
    "part_loss",
    "require_numbers",
    "rule_for",
    "score_ids",
    "strangest_first",
    "stream_loss",
    "windows_loss",
]
