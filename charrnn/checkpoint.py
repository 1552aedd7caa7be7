"""What a training checkpoint (.ckpt) holds, and how one is read safely.

A checkpoint is Lightning's: a zip that torch.save wrote. Beside Lightning's own entries
it has one of ours, `ENTRY`, with everything an exact resume or a sample needs. A file is
only trusted as far as it can be checked:

- the zip's CRCs, which torch.load ignores (a flipped byte of a weight would load silently);
- nothing in it may be compressed, so that no small file can swell to a huge one;
- ``weights_only=True``: tensors and plain values, never code.

This module needs torch but not Lightning.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charrnn.errors import InputError
from charrnn.modelfile import TrainedModel, architecture_from, check_weights
from charrnn.text.vocabulary import Vocabulary

ENTRY = "charrnn"
FORMAT_VERSION = 1
NETWORK_PREFIX = "network."


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU, checked as far as its structure goes.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    try:
        _check_zip(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        _check_structure(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except _NotOurs as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        # torch's restricted unpickler may fail in any way on a hostile file
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: not a charrnn checkpoint, or damaged ({what})") from None
    return dict(content)


class _NotOurs(Exception):
    """A readable file that is not what it should be."""


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _NotOurs("not a charrnn checkpoint (its content is compressed)")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise _NotOurs("not a charrnn checkpoint (it claims more than it holds)")
        damaged = archive.testzip()
        if damaged is not None:
            raise _NotOurs(f"damaged (the checksum of {damaged} does not fit)")


def _check_structure(content: Any) -> None:
    if not isinstance(content, dict) or not isinstance(content.get(ENTRY), dict):
        raise _NotOurs("a checkpoint of another program, not charrnn's")
    ours = content[ENTRY]
    if ours.get("version") != FORMAT_VERSION:
        raise _NotOurs(
            f"a checkpoint of version {ours.get('version')!r}, and this charrnn reads "
            f"{FORMAT_VERSION}; update charrnn"
        )
    expected = {
        "state_dict": dict,
        "optimizer_states": list,
        "loops": dict,
        "global_step": int,
    }
    expected_ours = {
        "architecture": dict,
        "tokens": list,
        "config": dict,
        "facts": dict,
        "fingerprint": str,
        "finished": bool,
        "ranks": list,
        "best": dict,
    }
    for place, names in ((content, expected), (ours, expected_ours)):
        for name, kind in names.items():
            if not isinstance(place.get(name), kind):
                raise _NotOurs(f"damaged (its {name} is missing or of a wrong type)")


def model_in(content: dict[str, Any]) -> TrainedModel:
    """The trained model in a checkpoint's content.

    Raises:
        InputError, KeyError, TypeError, ValueError: it holds none.
    """
    ours = content[ENTRY]
    architecture = architecture_from(ours["architecture"])
    tensors = {
        name.removeprefix(NETWORK_PREFIX): tensor for name, tensor in content["state_dict"].items()
    }
    check_weights(architecture, tensors)
    vocabulary = Vocabulary.from_tokens(ours["tokens"])
    weights = {name: np.array(t.float().numpy(), np.float32) for name, t in tensors.items()}
    return TrainedModel(architecture, vocabulary, weights, ours["facts"])


def read_model(path: Path) -> TrainedModel:
    """The trained model of a .ckpt file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    content = read(path)
    try:
        return model_in(content)
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: holds no model ({error})") from None
