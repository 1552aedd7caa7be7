"""Checkpoints: whole ones are read, ours and Lightning's; all others are refused in one line."""

from __future__ import annotations

import math
import os
import pickle
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.small_runs import assert_same
from tests.tools import ABSENT, damage_is_noticed, refusal, replace_at

Content = dict[str, Any]


@pytest.fixture(scope="module")
def last(run_cache: Callable[..., Path]) -> Path:
    run = run_cache("trainer.max_steps=14", "callbacks.samples.length=0", "logger=none")
    return run / "checkpoints" / "last.ckpt"


@pytest.fixture
def content(last: Path) -> Content:
    return checkpoint.read_run(last)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.ckpt"


def craft(path: Path, pickled: bytes) -> None:
    """Write a zip as torch.save does around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def test_the_values_of_a_checkpoint_come_back_as_they_were(path: Path, content: Content) -> None:
    flat = torch.arange(30, dtype=torch.float32)
    content["views"] = [flat[:10], flat[10:].view(4, 5), flat[10:].view(4, 5).T, flat[:0]]
    content["types"] = [
        torch.zeros(3, dtype=dtype)
        for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool)
    ]
    content["plain"] = [None, True, -1, 2**70, float("inf"), "Zoë\ud800", (), (1, (2,)), {3: []}]
    content["names"] = {"Zoë": 1, 2**40: 3, 0.5: 4, None: 5, True: 6}
    # of schedulers and modules that are not ours
    content["torch's"] = [torch.Size([2]), torch.float16, torch.device("cpu"), Counter([1, 1, 2])]
    content["module"] = torch.nn.Linear(2, 2).state_dict()
    checkpoint.write(path, content)
    assert_same(checkpoint.read(path), content)
    assert_same(torch.load(path, weights_only=True, mmap=True), content)


def test_a_checkpoint_of_lightning_has_the_model_and_no_run(
    path: Path, last: Path, content: Content
) -> None:
    """Write a checkpoint as ModelCheckpoint does in a script: without the entries of a run."""
    weights = {name: weight.double() for name, weight in content["state_dict"].items()}
    state = OrderedDict({**weights, "head.weight": torch.zeros(3)})
    kept = ("version", "architecture", "tokens", "facts", "ranks")
    entry = {name: content[ENTRY][name] for name in kept}
    checkpoint.write(path, {**content, "state_dict": state, ENTRY: entry})
    expected = charrnn.load(last)
    assert np.array_equal(charrnn.load(path).logits("the cat"), expected.logits("the cat"))
    line = refusal(path, checkpoint.read_run)
    assert "contains a model, but no run to resume (its config" in line


def test_damage_of_a_checkpoint_is_noticed_anywhere(path: Path, content: Content) -> None:
    """Check that bytes outside of the zip's checksums (padding, dates) change nothing."""
    checkpoint.write(path, content)

    def check(found: Content) -> None:
        for name in ("state_dict", "optimizer_states"):
            assert_same(found[name], content[name])

    size = path.stat().st_size
    assert damage_is_noticed(path, checkpoint.read, check, 300, size) > 150


class Touch:
    """Pickled as a call that creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_call_in_a_checkpoint_is_not_made(
    path: Path, last: Path, tmp_path: Path, protocol: int
) -> None:
    marker = tmp_path / "called"
    pickled = pickle.dumps(Touch(marker), protocol)
    with zipfile.ZipFile(last) as archive:
        whole = archive.read("archive/data.pkl")
    inner = whole[:2] + pickled.removesuffix(b".").removeprefix(b"\x80\x02") + b"0" + whole[2:]
    for crafted in (pickled, inner):
        craft(path, crafted)
        assert "more than tensors and plain values" in refusal(path, charrnn.load)
    old_header = map(pickle.dumps, (0x1950A86A20F9469CFC6C, 1001, {}))
    for data in (pickled, b"".join(old_header) + pickled):  # torch.load reads these too
        path.write_bytes(data)
        assert "File is not a zip file" in refusal(path, charrnn.load)
    assert not marker.exists()


def test_a_checkpoint_with_compressed_or_double_records_is_refused(path: Path, last: Path) -> None:
    with zipfile.ZipFile(last) as archive:
        records = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    for method, times, line in ((zipfile.ZIP_DEFLATED, 1, "compressed"), (0, 2, "twice")):
        with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that of zipfile about the double name
            for name, record in records * times:
                archive.writestr(name, record)
        assert line in refusal(path, checkpoint.read)


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


BIAS = ("state_dict", "network.decoder.bias")  # of 18 numbers
# place, value, and a part of the line that refuses the model
ODD_MODELS: list[tuple[tuple[Any, ...], Any, str]] = [
    (BIAS, ABSENT, "its weight decoder.bias is missing"),
    (BIAS, torch.zeros(1).expand(18), "its decoder.bias is longer than its data"),
    (BIAS, torch.tensor([math.nan] + 17 * [0.0]), "contains numbers that are not finite"),
    ((ENTRY, "version"), 2, "a checkpoint of version 2, and this charrnn reads 1"),
    ((ENTRY, "architecture", "kind"), "x\ny" * 999, "model.kind=x yx yx"),
    ((ENTRY, "tokens"), ["a"], "its vocabulary has 1 characters, its architecture 18"),
    ((ENTRY, "facts"), {"primer": endless()}, "Circular reference"),
]


@pytest.mark.parametrize(("where", "value", "line"), ODD_MODELS)
def test_a_checkpoint_with_an_odd_model_is_refused(
    path: Path, content: Content, where: tuple[Any, ...], value: Any, line: str
) -> None:
    checkpoint.write(path, replace_at(content, where, value))
    assert line in refusal(path, charrnn.load)
