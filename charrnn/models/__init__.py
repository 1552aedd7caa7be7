"""Read a trained model from a file of any format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charrnn import plugins
from charrnn.errors import InputError

if TYPE_CHECKING:
    from charrnn.models.trained import TrainedModel

_ZIP = b"PK\x03\x04"


def read_any_format(path: Path) -> TrainedModel:
    """Read a model file, a .ckpt or a .t7, as its content says. No code in the file is executed."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if start[8:] == b"{" or path.suffix == ".safetensors":
        from charrnn.models import model_file

        return model_file.load(path)
    if start.startswith(_ZIP) or path.suffix == ".ckpt":
        from charrnn.models import checkpoint

        return checkpoint.read_model(path)
    for reader in plugins.import_modules("model"):
        if reader.reads(start, path):
            model: TrainedModel = reader.read_model(path)
            return model
    raise InputError(
        f"{path}: {'is no model' if start else 'is empty'}; a model is a run folder, its .ckpt, "
        f"a model file (.safetensors) or torch-rnn's .t7 (`charrnn evaluate` takes a text as "
        f"data.input_txt=)"
    )
