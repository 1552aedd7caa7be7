"""Checkpoints: whole ones are read, ours and Lightning's own; all others are refused in one line.

`craft` and `save` let a file end in the checksum that belongs to it, so that what is
wrong with it has to be found by the checks behind the checksum.
"""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import tarfile
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn.errors import InputError
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY, NETWORK_PREFIX, Damaged
from tests.faults.runs import same

Content = dict[str, Any]


@pytest.fixture(scope="module")
def last(made: Callable[..., Path]) -> Path:
    run = made("trainer.max_steps=14", "callbacks.samples.length=0", "logger=none")
    return run / "checkpoints" / "last.ckpt"


@pytest.fixture
def content(last: Path) -> Content:
    checkpoint.forget()  # what another test has changed
    return checkpoint.read_run(last)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.ckpt"


def save(path: Path, content: object, *, sealed: bool = True) -> None:
    """As `charrnn train` writes it, or as Lightning does."""
    with open(path, "w+b") as file:
        torch.save(content, file, pickle_protocol=2)
        if sealed:
            checkpoint.seal(file)


def craft(path: Path, pickled: bytes, *, sealed: bool = True) -> None:
    """A zip as torch.save writes it around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    if sealed:
        with open(path, "r+b") as file:
            checkpoint.seal(file)


def refused(path: Path, read: Callable[[Path], object] = checkpoint.read) -> str:
    """The line with which it is refused."""
    with pytest.raises(InputError) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < len(str(path)) + 250
    return line


# -- whole ones ------------------------------------------------------------------------


def test_torch_reads_it_without_running_code(path: Path, content: Content) -> None:
    save(path, content)
    for mmap in (False, True):
        assert same(torch.load(path, weights_only=True, mmap=mmap), content)


def test_values_come_back_as_they_were(path: Path, content: Content) -> None:
    flat = torch.arange(30, dtype=torch.float32)
    content["views"] = [flat[:10], flat[10:].view(4, 5), flat[10:].view(4, 5).T, flat[:0]]
    content["types"] = [
        torch.zeros(3, dtype=dtype)
        for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool)
    ]
    content["plain"] = [None, True, -1, 2**70, float("inf"), "Zoë\ud800", (), (1, (2,)), {3: []}]
    content["names"] = {"Zoë": 1, -1: 2, 2**40: 3, 0.5: 4, None: 5, True: 6}
    # of schedulers and modules that are not ours
    content["torch's"] = [torch.Size([2]), torch.float16, torch.device("cpu"), Counter([1, 1, 2])]
    content["module"] = torch.nn.Linear(2, 2).state_dict()
    save(path, content)
    found = checkpoint.read(path)
    assert found["torch's"] == content["torch's"]
    assert isinstance(found["module"], OrderedDict)
    for name in ("views", "types", "plain", "names", "optimizer_states", ENTRY):
        assert same(found[name], content[name])


# -- Lightning's own -------------------------------------------------------------------


def of_lightning(content: Content) -> Content:
    """As ModelCheckpoint writes it in a script: what the module adds, but no run's entries."""
    state = OrderedDict(content["state_dict"])
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    kept = ("version", "architecture", "tokens", "facts", "ranks")
    return {
        **content,
        "state_dict": state,
        ENTRY: {name: content[ENTRY][name] for name in kept},
        "lr_schedulers": [{"milestones": Counter([5, 9])}],
    }


def test_a_model_and_no_run(path: Path, last: Path, content: Content) -> None:
    save(path, of_lightning(content), sealed=False)
    expected = charrnn.load(last)
    assert np.array_equal(charrnn.load(path).logits("the cat"), expected.logits("the cat"))
    assert "holds a model, but not a run to go on with (its config is missing" in refused(
        path, checkpoint.read_run
    )


@pytest.mark.parametrize("kind", ["compiled", "whole compiled", "bare", "float64", "with a head"])
def test_weights_under_other_names_and_types(
    path: Path, last: Path, content: Content, kind: str
) -> None:
    changed: dict[str, Any] = {
        "compiled": lambda name, weight: ("network._orig_mod." + name, weight),
        "whole compiled": lambda name, weight: ("_orig_mod.network." + name, weight),
        "bare": lambda name, weight: (name, weight),
        "float64": lambda name, weight: ("network." + name, weight.double()),
        "with a head": lambda name, weight: ("network." + name, weight),
    }
    state = {name.removeprefix(NETWORK_PREFIX): w for name, w in content["state_dict"].items()}
    content["state_dict"] = dict(changed[kind](name, w) for name, w in state.items())
    if kind == "with a head":
        content["state_dict"]["head.weight"] = torch.zeros(3)
    save(path, content, sealed=False)
    expected = charrnn.load(last)
    assert np.array_equal(charrnn.load(path).logits("the cat"), expected.logits("the cat"))


# -- those that cannot be read ---------------------------------------------------------


def test_what_cannot_be_read_is_not_called_damaged(path: Path, tmp_path: Path) -> None:
    assert "no such file" in refused(path)
    assert "no regular file" in refused(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert "no regular file" in refused(tmp_path / "fifo")
    assert "no regular file" in refused(Path("/dev/zero"))
    for name in (path, tmp_path, tmp_path / "fifo"):
        with pytest.raises(InputError) as caught:
            checkpoint.read(name)
        assert not isinstance(caught.value, Damaged)


def test_another_version_is_told_so(path: Path, content: Content) -> None:
    content[ENTRY]["version"] = 2
    save(path, content)
    assert refused(path).endswith("a checkpoint of version 2, and this charrnn reads 1")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("architecture", None, "its architecture is missing"),
        ("architecture", {"kind": "lstm"}, "holds no model"),
        ("tokens", ["a", 5], "holds no model (its tokens are no texts)"),
        ("tokens", ["a"], "holds no model (its vocabulary has 1 characters"),
        ("facts", {"step": []}, "holds no model (its fact step is no plain value)"),
        ("version", "1", "its version is missing or of a wrong type"),
    ],
)
def test_entries_that_are_wrong(
    path: Path, content: Content, name: str, value: Any, words: str
) -> None:
    content[ENTRY][name] = value
    save(path, content)
    assert words in refused(path, checkpoint.read_model)


@pytest.mark.parametrize(
    "weight", [None, [1.0], torch.zeros(2), torch.zeros(16, dtype=torch.int64),
               torch.full((16,), float("nan")), torch.zeros(1).expand(16)],
)  # fmt: skip
def test_weights_that_are_wrong(path: Path, content: Content, weight: Any) -> None:
    content["state_dict"]["network.decoder.bias"] = weight
    save(path, content)
    assert "holds no model (its " in refused(path, checkpoint.read_model)


# -- damaged ones ----------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [True, False])
def test_truncated(path: Path, content: Content, sealed: bool) -> None:
    save(path, content, sealed=sealed)
    data = path.read_bytes()
    for length in [*range(0, len(data), 401), *range(len(data) - 150, len(data))]:
        path.write_bytes(data[:length])
        refused(path)


@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_flipped_bits(path: Path, last: Path, count: int) -> None:
    generator = random.Random(count)
    original = last.read_bytes()
    for _ in range(count):
        data = bytearray(original)
        for _ in range(generator.choice([1, 1, 1, 2, 10])):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        if data != original:
            path.write_bytes(data)
            refused(path)


@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_flipped_bits_without_a_checksum(path: Path, content: Content, count: int) -> None:
    """The zip's own CRCs hold what is read; flips elsewhere (padding, dates) change nothing."""
    content = of_lightning(content)
    save(path, content, sealed=False)
    original = path.read_bytes()
    weight = content["state_dict"]["network.decoder.weight"].numpy().tobytes()
    inside = original.index(weight)
    generator = random.Random(count)
    for number in range(count):
        data = bytearray(original)
        place = inside + number % len(weight) if number % 2 else generator.randrange(len(data))
        data[place] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        try:
            found = checkpoint.read(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
        else:
            assert number % 2 == 0
            for name in ("state_dict", "optimizer_states"):
                assert same(found[name], dict(content)[name])


# -- hostile ones ----------------------------------------------------------------------


class Reduced:
    """Pickled as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def calls(marker: Path) -> Iterator[bytes]:
    """Pickles that would make a file."""
    command = f"touch {marker}"
    for protocol in range(6):
        yield pickle.dumps(Reduced(os.system, command), protocol)
        yield pickle.dumps({ENTRY: Reduced(eval, f"open({str(marker)!r}, 'w')")}, protocol)
    text = command.encode()
    yield b"cos\nsystem\n(S'" + text + b"'\ntR."
    yield b"(cos\nsystem\nS'" + text + b"'\no."
    string = b"X" + struct.pack("<I", len(text)) + text
    yield b"\x80\x02cposix\nsystem\n" + string + b"\x85R."
    yield b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + string + b"\x85R."
    yield b"\x80\x02cos\nsystem\n" + string + b"\x85\x81."
    yield b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(Nccos\nsystem\n" + string + b"\x85RtR."
    yield b"\x80\x02ccollections\nOrderedDict\n)R}(X\x08\0\0\0__init__cos\nsystem\nub."


@pytest.mark.parametrize("sealed", [True, False])
def test_calls_are_not_made(path: Path, last: Path, tmp_path: Path, sealed: bool) -> None:
    marker = tmp_path / "called"
    with zipfile.ZipFile(last) as archive:
        whole = archive.read("archive/data.pkl")
    for pickled in calls(marker):
        inner = whole[:2] + pickled.removesuffix(b".").removeprefix(b"\x80\x02") + b"0" + whole[2:]
        for crafted in (pickled, inner):
            craft(path, crafted, sealed=sealed)
            refused(path)
            refused(path, charrnn.load)
        # and as files that torch.load reads otherwise
        for data in (pickled, old_format(pickled), in_a_tar(pickled)):
            path.write_bytes(data)
            refused(path)
            refused(path, charrnn.load)
    assert not marker.exists()


def old_format(pickled: bytes) -> bytes:
    """What torch.save wrote before it wrote zips."""
    return pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + pickle.dumps({}) + pickled


def in_a_tar(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(pickled)
            archive.addfile(entry, io.BytesIO(pickled))
    return file.getvalue()


def test_other_programs_files(path: Path, tmp_path: Path) -> None:
    for sealed in (True, False):
        save(path, {"state_dict": {}, "epoch": 1}, sealed=sealed)
        assert "of another program" in refused(path)
        save(path, {"hyper_parameters": Path("x"), ENTRY: {}}, sealed=sealed)
        assert "it holds more than tensors and plain values" in refused(path)
    torch.save(torch.nn.Linear(2, 3), path)
    refused(path)
    torch.save({"a": 1}, path, _use_new_zipfile_serialization=False)
    refused(path)
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    assert "no checkpoint" in refused(tmp_path / "x.npz")
    for data in (b"", b"PK", b"\0" * 1000, b"\x80\x02N.", b"{}", random.Random(1).randbytes(5000)):
        path.write_bytes(data)
        refused(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"](" + b"N" * 1_000_000 + b"e",
        b"]" * 200_000 + b"a" * 199_999,
        b"Nr\xff\xff\xff\xff",
        b"X\xff\xff\xff\xffx",
    ],
    ids=["a million values", "deep", "memo", "long text"],
)
def test_pickles_of_nothing_useful(path: Path, pickled: bytes) -> None:
    craft(path, b"\x80\x02" + pickled + b".")
    refused(path)


def test_records_that_swell_or_stand_twice(path: Path, content: Content) -> None:
    save(path, content, sealed=False)
    with zipfile.ZipFile(path) as archive:
        records = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    assert "compressed" in refused(path)
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the double name
        for name, data in [*records.items(), *records.items()]:
            archive.writestr(name, data)
    assert "twice" in refused(path)
