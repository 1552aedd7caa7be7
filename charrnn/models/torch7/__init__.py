"""torch-rnn's own files: its .t7 checkpoints, and the JSON that it writes beside them.

serialization    Torch7's file format -> plain Python and NumPy values
torch_rnn_model  those values -> a TrainedModel; checkpoint_N.json -> the losses of its training
"""

from charrnn.models.torch7.torch_rnn_model import read_history, read_model

__all__ = ["read_history", "read_model"]
