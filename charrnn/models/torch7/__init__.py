"""torch-rnn's own .t7 checkpoints.

serialization    Torch7's file format -> plain Python and NumPy values
torch_rnn_model  those values -> a TrainedModel
"""

from charrnn.models.torch7.torch_rnn_model import read_model

__all__ = ["read_model"]
