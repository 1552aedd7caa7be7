"""What the files in a run's folder say of it: sizes, samples, and what it was begun with.

They may be of a run that is being trained, that was killed, or that another program made: what
is not there or cannot be read is left out.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from charrnn.errors import InputError
from charrnn.metrics_csv import Row
from charrnn.models import model_file
from charrnn.runs.folder import read_yaml
from charrnn.runs.recorded_config import MISSING, found

T = TypeVar("T")

_OVERRIDES = Path(".hydra") / "overrides.yaml"
FOREVER, LARGEST_SIZE = 1e12, 1 << 40  # seconds, and an option of a batch, that no run has
# of a model's weights: PyTorch's second bias is frozen at zero
_NOT_TRAINED = ("bias_hh_l0", "running_mean", "running_var")
_SAMPLE = re.compile(r"step-(\d{1,15})\.txt")


def facts(folder: Path) -> dict[str, Any]:
    """What the run's model file says of the training; empty before there is one."""
    with contextlib.suppress(InputError):
        return model_file.facts(folder / "model.safetensors")
    return {}


def text(config: dict[str, Any]) -> str:
    """What the text that a run was trained on is called: a file's name, or a corpus's."""
    data = found(config, "data")
    data = data if isinstance(data, dict) else {}
    if given := data.get("input_txt"):
        names = [Path(str(name)).name for name in (given if isinstance(given, list) else [given])]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more
    return Path(str(data.get("corpus") or data.get("input_h5") or "?")).name


def trained(
    rows: Sequence[Row], config: dict[str, Any], facts: dict[str, Any]
) -> tuple[float, float]:
    """The characters that were trained on, and the seconds that this took by the logged speeds.

    Args:
        facts: of the model file, which know how many streams a short text had.
    """
    sizes: list[Any] = [facts.get("streams"), facts.get("window"), 1]
    if None in sizes:
        names = ("data.batch_size", "data.seq_length")
        sizes = [*(found(config, name) for name in names), 1]
        if rows and 0 < rows[-1]["step"] < 2.5 * rows[-1].get("epoch", 0.0):
            return 0.0, 0.0  # a text for fewer streams, and nothing says how many
    if (windows := found(config, "trainer.accumulate_grad_batches")) is not MISSING:
        sizes[2] = windows
    if not all(isinstance(size, int) and 0 < size < LARGEST_SIZE for size in sizes):
        return 0.0, 0.0
    before = characters = seconds = 0.0
    for row in rows:
        if speed := row.get("characters_per_second"):
            new = (row["step"] - before) * math.prod(sizes)
            characters, seconds = characters + new, seconds + new / speed
            before = row["step"]
    return (characters, seconds) if seconds < FOREVER else (0.0, 0.0)


def parameters(folder: Path, config: dict[str, Any]) -> int | None:
    """The trained numbers of the run's model, as torch-rnn counts them; None before there is one.

    Of the model file only the header is read.
    """
    try:
        shapes = model_file.shapes(folder / "model.safetensors")
    except InputError:
        return None
    counted = {name: shape for name, shape in shapes.items() if not name.endswith(_NOT_TRAINED)}
    return sum(math.prod(shape) for shape in counted.values())


def overrides(folder: Path) -> list[str]:
    """The overrides of the run, as they were written."""
    with contextlib.suppress(InputError):
        lines = read_yaml(folder / _OVERRIDES)
        if isinstance(lines, list):
            return [line for line in lines if isinstance(line, str)]
    return []


def options_given(folder: Path) -> dict[str, str]:
    """The overrides of the run, option -> value."""
    pairs = (line.lstrip("+~").partition("=") for line in overrides(folder))
    # a sweep writes True where a person wrote true
    return {name: {"True": "true", "False": "false"}.get(value, value) for name, _, value in pairs}


def sample_files(folder: Path) -> list[tuple[int, Path]]:
    """The samples that training wrote, as (step, file), in the order of the steps."""
    names = ((_SAMPLE.fullmatch(path.name), path) for path in folder.glob("samples/step-*.txt"))
    return sorted((int(name[1]), path) for name, path in names if name and path.is_file())


def spread(items: Sequence[T], most: int) -> list[T]:
    """So many of some items at most, at even distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(most - 1, 1))] for i in range(most)]
