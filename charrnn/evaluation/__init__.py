"""How well a network predicts a text.

losses  a loss and its units; the lines of a text by how badly they were predicted
rows    rows of a text, run side by side
stream  the loss of a text, as one stream or in windows: validation, `evaluate`, Python alike
"""

from charrnn.evaluation.losses import Line, Score, require_numbers, strangest_first
from charrnn.evaluation.stream_losses import (
    character_losses,
    part_loss,
    score_ids,
    stream_loss,
    windows_loss,
)

__all__ = [
    "Line",
    "Score",
    "character_losses",
    "part_loss",
    "require_numbers",
    "score_ids",
    "strangest_first",
    "stream_loss",
    "windows_loss",
]
