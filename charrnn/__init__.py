"""Train a character-level recurrent network on any text, and write new text with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charrnn.commands.train import train
    from charrnn.model import Model, load
    from charrnn.options.cells import CELLS, Cell, NetworkOptions
    from charrnn.options.datasets import DataOptions
    from charrnn.options.sampling import SamplingParams
    from charrnn.runs.decisions import decide
    from charrnn.training import LanguageModel, TextDataModule

__version__ = "0.2.0"
# the name for pip: `charrnn` is another project on PyPI
DISTRIBUTION = "charrnn-lightning"
__all__ = [
    "CELLS",
    "Cell",
    "DataOptions",
    "LanguageModel",
    "Model",
    "NetworkOptions",
    "SamplingParams",
    "TextDataModule",
    "__version__",
    "decide",
    "load",
    "train",
]

_MODULES = {
    "load": "charrnn.model",
    "Model": "charrnn.model",
    "DataOptions": "charrnn.options.datasets",
    "NetworkOptions": "charrnn.options.cells",
    "SamplingParams": "charrnn.options.sampling",
    "LanguageModel": "charrnn.training",
    "TextDataModule": "charrnn.training",
    "train": "charrnn.commands.train",
    "decide": "charrnn.runs.decisions",
    "Cell": "charrnn.options.cells",
    "CELLS": "charrnn.options.cells",
}


def __getattr__(name: str) -> Any:
    # Lazy imports keep `charrnn --help` fast.
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
