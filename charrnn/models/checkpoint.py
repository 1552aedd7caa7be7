"""Training checkpoints (.ckpt): write them atomically, and read them safely.

A checkpoint is a zip file that Lightning writes with torch.save. Its entry `ENTRY` contains the
data that a model, or the exact resume of a run, needs. The checksums in the zip file are checked
first, because torch.load ignores them and a flipped bit in a weight would load silently.

Reading is safe against code in the pickle (always `weights_only=True`), damage, special files, and
compressed records that fill the memory. It does not detect false weights or numbers: an attacker
who can write a checkpoint can choose them.

This module imports torch but not Lightning.
"""

from __future__ import annotations

import errno
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from charrnn.errors import InputError, is_out_of_memory, to_one_line
from charrnn.files import replace_file, require_regular_file
from charrnn.models.trained import TrainedModel, parse_architecture
from charrnn.text.vocabulary import Vocabulary

ENTRY = "charrnn"
FORMAT_VERSION = 1
NETWORK_PREFIX = "network."

# The types that are checked before Lightning resumes a run. Only the first three values are not in
# `ENTRY`.
_RUN_TYPES = {
    "global_step": int, "optimizer_states": list, "loops": dict,
    "config": dict, "facts": dict, "finished": bool, "earlier": dict, "ranks": list,
    "best_loss": float, "best_step": int, "best_loss_as_written": float,
}  # fmt: skip


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically; raise RunError if it cannot be written."""
    file = io.BytesIO()  # torch.save to a full disk would hide the system's error
    torch.save(content, file)
    with replace_file(path) as temporary:
        temporary.write_bytes(file.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    Raise InputError if it cannot be read, is damaged, or is another program's or version's.
    """
    require_regular_file(path, "give a run folder or a checkpoint; `charrnn runs` lists the runs")
    try:
        with path.open("rb") as file:
            _check_records(file)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the pickle protocol
                content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's message would advise to load the file without weights_only.
        why = "it contains more than tensors and plain values"
        raise InputError(f"{path}: not a charrnn checkpoint, or damaged ({why})") from None
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(f"{path}: cannot be read (there is too little memory)") from None
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        # A damaged file can raise any exception; EINVAL is from a damaged directory of the zip.
        why = to_one_line(error)
        raise InputError(f"{path}: not a charrnn checkpoint, or damaged ({why})") from None
    entry = content.get(ENTRY) if isinstance(content, dict) else None
    if not isinstance(entry, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{path}: a checkpoint of another program, not of charrnn")
    version = entry.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise InputError(
            f"{path}: a checkpoint of version {to_one_line(version, 20)}, and this charrnn reads "
            f"{FORMAT_VERSION}"
        )
    return {**content, "state_dict": dict(content["state_dict"])}


def _check_records(file: IO[bytes]) -> None:
    """Raise ValueError or BadZipFile if a record of a checkpoint is damaged or compressed."""
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise ValueError("its content is compressed")
        if len({record.filename for record in records}) != len(records):
            raise ValueError("it contains the same record twice")
        if (name := archive.testzip()) is not None:
            raise ValueError(f"its record {name} is damaged")


def read_run(path: Path) -> dict[str, Any]:
    """Return the content like `read`. Raise InputError if it contains no run to resume."""
    content = read(path)
    values = {**content, **content[ENTRY]}
    missing = [name for name, type_ in _RUN_TYPES.items() if type(values.get(name)) is not type_]
    if missing:
        raise InputError(
            f"{path}: contains a model, but no run to resume (its {missing[0]} is missing or of a "
            f"wrong type); init_from= starts a new run from its weights"
        )
    return content


def read_model(path: Path) -> TrainedModel:
    """Return the trained model of a .ckpt file. Raise InputError if it contains no valid one."""
    content = read(path)
    entry = content[ENTRY]
    try:
        architecture = parse_architecture(entry["architecture"])
        vocabulary, facts = Vocabulary.from_tokens(entry["tokens"]), dict(entry["facts"])
        json.dumps(facts)  # raises ValueError or TypeError if a model file could not store them
        weights = _select_network_weights(content["state_dict"])
        return TrainedModel(architecture, vocabulary, weights, facts)
    except Exception as error:  # The types of these values are not checked.
        reason = f"its entry {error} is missing" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: contains no model ({to_one_line(reason)})") from None


def _select_network_weights(state: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the network's weights as float32, without the other weights of a user's module."""
    weights = {}
    for key, tensor in state.items():
        if not str(key).startswith(NETWORK_PREFIX):
            continue
        name = str(key).removeprefix(NETWORK_PREFIX)
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise ValueError(f"its {name} is no tensor of floating-point numbers")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"its {name} is longer than its data")
        weights[name] = np.array(tensor.float().numpy(), np.float32)
    return weights
