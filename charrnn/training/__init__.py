"""The public Lightning classes: a module, a data module, callbacks, a logger and more."""

from charrnn.training.checkpoints import AtomicCheckpointIO, RunCheckpoints
from charrnn.training.counting import CharacterCounts
from charrnn.training.datamodule import TextDataModule
from charrnn.training.log import TrainingLog
from charrnn.training.metrics_file import MetricsCSV
from charrnn.training.module import LanguageModel
from charrnn.training.muon import Muon
from charrnn.training.progress_bar import Progress
from charrnn.training.reproducible import ReproducibleSteps
from charrnn.training.samples import Samples

__all__ = [
    "AtomicCheckpointIO",
    "CharacterCounts",
    "LanguageModel",
    "MetricsCSV",
    "Muon",
    "Progress",
    "ReproducibleSteps",
    "RunCheckpoints",
    "Samples",
    "TextDataModule",
    "TrainingLog",
]
