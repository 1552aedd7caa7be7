"""How much of a text is copied from the text that a model was trained on.

training_text  a training text that says in microseconds whether a passage stands in it
source         where the training text of a model is found
"""

from charrnn.novelty.source import find_training_text
from charrnn.novelty.training_text import Passage, TrainingText

__all__ = ["Passage", "TrainingText", "find_training_text"]
