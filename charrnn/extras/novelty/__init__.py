"""How much of a text is copied from the text that a model was trained on.

training_text  a training text that says in microseconds whether a passage stands in it
report         the shares, passages and words of a text that are copied and that are new
plot           the curve of a report
source         where the training text of a model is found
"""

from charrnn.extras.novelty.novelty_report import Report, report_on
from charrnn.extras.novelty.training_source import find_training_text
from charrnn.extras.novelty.training_text import Passage, TrainingText

__all__ = ["Passage", "Report", "TrainingText", "find_training_text", "report_on"]
