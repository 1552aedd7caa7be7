"""Training checkpoints (.ckpt): how one is written whole, and read safely.

A checkpoint is Lightning's: a zip that torch.save wrote. Beside Lightning's own entries it has
one of ours, `ENTRY`, with what a model, or the exact resume of a run, needs. The zip's checksums
of its records are looked at before it is read, since torch.load ignores them and a flipped bit in
a weight would load silently.

Defended against: code in the pickle (`weights_only=True`, and never anything else), damage of
every kind, files that are no files, and compressed records that swell. Not defended against:
tensors and values of one's own making, since whoever can write a checkpoint can make it hold any
weights, and any numbers to go on from.

This module needs torch but not Lightning.
"""

from __future__ import annotations

import errno
import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from charrnn.errors import InputError, shorten, to_one_line
from charrnn.files import replace_file, require_regular_file
from charrnn.models.trained import TrainedModel, architecture_from
from charrnn.text.vocabulary import Vocabulary

ENTRY = "charrnn"
FORMAT_VERSION = 1
NETWORK_PREFIX = "network."

# What is read of a run before Lightning goes on with it; the rest is Lightning's to check. The
# lower part stands in `ENTRY`.
_OF_A_RUN = {
    "global_step": int, "optimizer_states": list, "loops": dict,
    "config": dict, "fingerprint": str, "finished": bool, "earlier": dict, "ranks": list,
    "batch_size": int, "seq_length": int, "best_loss": float, "best_step": int,
}  # fmt: skip


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all; RunError where `path` cannot be written."""
    file = io.BytesIO()  # of a full disk torch.save makes another error than the system's
    torch.save(content, file)
    with replace_file(path) as temporary:
        temporary.write_bytes(file.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; there is an entry of ours in it.

    Raises:
        InputError: it is not whole, cannot be read here, or is another program's or version's.
    """
    require_regular_file(path, "a checkpoint is expected here")
    try:
        with path.open("rb") as file:
            _check_whole(file)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a pickle's protocol
                content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's message advises to load it without weights_only
        why = "it holds more than tensors and plain values"
        raise InputError(f"{path}: not a charrnn checkpoint, or damaged ({why})") from None
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise InputError(f"{path}: cannot be read (there is too little memory)") from None
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        # EINVAL comes of a false directory; zipfile and torch may fail in any way otherwise
        why = to_one_line(error)
        raise InputError(f"{path}: not a charrnn checkpoint, or damaged ({why})") from None
    entry = content.get(ENTRY) if isinstance(content, dict) else None
    if not isinstance(entry, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{path}: a checkpoint of another program, not charrnn's")
    version = entry.get("version")
    if version != FORMAT_VERSION:
        other = shorten(version, 20) if isinstance(version, int | str) else type(version).__name__
        raise InputError(
            f"{path}: a checkpoint of version {other}, and this charrnn reads {FORMAT_VERSION}"
        )
    return {**content, "state_dict": dict(content["state_dict"])}


def _check_whole(file: IO[bytes]) -> None:
    """Raise ValueError or BadZipFile unless every record of a checkpoint is as it was written."""
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise ValueError("its content is compressed")
        if len({record.filename for record in records}) != len(records):
            raise ValueError("it holds the same record twice")
        if (name := archive.testzip()) is not None:
            raise ValueError(f"its record {name} is damaged")


def read_run(path: Path) -> dict[str, Any]:
    """The content of a checkpoint that a run can go on from.

    Raises:
        InputError: as `read`; or it holds a model only.
    """
    content = read(path)
    values = {**content, **content[ENTRY]}
    missing = [name for name, kind in _OF_A_RUN.items() if type(values.get(name)) is not kind]
    if missing:
        raise InputError(
            f"{path}: holds a model, but not a run to go on with (its {missing[0]} is missing or "
            f"of a wrong type); init_from= starts a new run from its weights"
        )
    return content


def model_in(content: Mapping[str, Any]) -> TrainedModel:
    """The trained model in a checkpoint's content.

    Raises:
        InputError: it holds none.
    """
    entry = content[ENTRY]
    try:
        architecture = architecture_from(entry["architecture"])
        tokens, facts = entry["tokens"], entry["facts"]
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("its tokens are no texts")
        if not all(isinstance(fact, str | int | float | None) for fact in facts.values()):
            raise ValueError("its facts are no plain values")
        vocabulary = Vocabulary.from_tokens(tokens)
        weights = _network_weights(content["state_dict"])
        return TrainedModel(architecture, vocabulary, weights, facts)
    except KeyError as error:
        raise InputError(f"holds no model (it lacks {to_one_line(error)})") from None
    except Exception as error:  # nothing here is held to a type before
        raise InputError(f"holds no model ({to_one_line(error)})") from None


def _network_weights(state: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The network's weights as float32, by its own names; a subclass may have trained more."""
    named = ((str(name), tensor) for name, tensor in state.items())
    weights = {
        name.removeprefix(NETWORK_PREFIX): tensor
        for name, tensor in named
        if name.startswith(NETWORK_PREFIX)
    }
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise ValueError(f"its {name} is no tensor of floating-point numbers")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"its {name} claims more numbers than there are")
    return {name: np.array(t.float().numpy(), np.float32) for name, t in weights.items()}


def read_model(path: Path) -> TrainedModel:
    """The trained model of a .ckpt file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    content = read(path)
    try:
        return model_in(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
