"""A network in which it is known what a unit does."""

from __future__ import annotations

from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import CHARACTERS, trained_model

UNIT = 11


def planted() -> TrainedModel:
    """An LSTM one of whose units is set by hand to be positive inside quotes, else negative.

    Its gates open at a quote alone; the cell then becomes the opposite of what the unit was.
    """
    vocabulary = Vocabulary([*CHARACTERS, '"'])
    model = trained_model("lstm", vocabulary=vocabulary, num_layers=1, hidden_size=16)
    weights = {name: weight * 0.3 for name, weight in model.weights.items()}
    H, unit, quote = 16, UNIT, len(vocabulary) - 1
    embedding = weights["embedding.weight"]
    embedding[:, 0], embedding[quote, 0] = -1.0, 1.0  # the first number says what is a quote
    read, own = weights["recurrent.0.weight_ih_l0"], weights["recurrent.0.weight_hh_l0"]
    bias = weights["recurrent.0.bias_ih_l0"]
    weights["recurrent.0.bias_hh_l0"][:] = 0
    # c' = f c + i g: at a quote f is shut and i open, elsewhere the other way round
    gain = 20.0
    for gate, slope, offset in (("i", gain, 0), ("f", -gain, 0), ("o", 0, gain), ("g", 0, 0)):
        row = "ifgo".index(gate) * H + unit
        read[row], own[row], bias[row] = 0, 0, offset
        read[row, 0] = slope
    row = "ifgo".index("g") * H + unit
    own[row, unit], bias[row] = -gain, 2.0  # g is 1 after 0 or less, else -1
    return TrainedModel(model.architecture, vocabulary, weights)
