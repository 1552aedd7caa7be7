"""The public Lightning classes: a module, a data module, callbacks, a logger and more."""

from charrnn.training.callbacks import EarlyStopping, Samples
from charrnn.training.checkpoints import AtomicCheckpointIO, RunCheckpoints
from charrnn.training.counting import CharacterCounts
from charrnn.training.datamodule import TextDataModule
from charrnn.training.log import TrainingLog
from charrnn.training.metrics_file import MetricsCSV
from charrnn.training.module import LanguageModel
from charrnn.training.muon import Muon
from charrnn.training.progress_bar import Progress

__all__ = [
    "AtomicCheckpointIO",
    "CharacterCounts",
    "EarlyStopping",
    "LanguageModel",
    "MetricsCSV",
    "Muon",
    "Progress",
    "RunCheckpoints",
    "Samples",
    "TextDataModule",
    "TrainingLog",
]
