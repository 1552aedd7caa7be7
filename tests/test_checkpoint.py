"""Checkpoints that are damaged or hostile: refused in one line, nothing executed, cheaply.

`seal` lets a file end in the checksum that belongs to it, so that what is wrong with it has to
be found by the checks behind the checksum.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import random
import resource
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charrnn
from charrnn import checkpoint
from charrnn.__main__ import main
from charrnn.checkpoint import ENTRY, Damaged
from charrnn.errors import InputError, Interrupted
from charrnn.models.trained import TrainedModel
from tests.faults.child import CONTEXT
from tests.faults.runs import same, start, write_corpus

Content = dict[str, Any]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 7 steps, of a network with 2,000 parameters."""
    place = tmp_path_factory.mktemp("run")
    write_corpus(place)
    before = os.getcwd()
    os.chdir(place)
    try:
        assert main(start("run", "trainer.max_steps=7", "model.num_layers=1")) == 0
    finally:
        os.chdir(before)
    return place / "run"


@pytest.fixture(scope="module")
def original(run_folder: Path) -> bytes:
    return (run_folder / "checkpoints" / "last.ckpt").read_bytes()


@pytest.fixture
def content(run_folder: Path) -> Content:
    return checkpoint.read(run_folder / "checkpoints" / "last.ckpt")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.ckpt"


def write(path: Path, data: bytes, *, sealed: bool = False) -> None:
    with open(path, "w+b") as file:
        file.write(data)
        if sealed:
            checkpoint.seal(file)


def unsealed(data: bytes) -> bytes:
    """A checkpoint as torch.save wrote it."""
    body = data[: -checkpoint._SEAL_LENGTH]
    return body[:-2] + b"\0\0"


def save(path: Path, content: object) -> None:
    with open(path, "w+b") as file:
        torch.save(content, file, pickle_protocol=2)
        checkpoint.seal(file)


def craft(path: Path, pickled: bytes, records: dict[str, bytes] | None = None) -> None:
    """A zip as torch.save writes it around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for name, data in (records or {}).items():
            archive.writestr(f"archive/data/{name}", data)
    write(path, path.read_bytes(), sealed=True)


def refused(path: Path, read: Callable[[Path], object] = checkpoint.read) -> str:
    """The line with which it is refused."""
    with pytest.raises(InputError) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < len(str(path)) + 250
    return line


def refused_or_same(path: Path, content: Content) -> bool:
    """Whether it was refused; what was not must be what it was before the mutation."""
    try:
        found = checkpoint.read(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
        return True
    assert same(found, content)
    return False


# -- whole ones ------------------------------------------------------------------------


def test_torch_reads_it_without_running_code(run_folder: Path, content: Content) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        file = run_folder / "checkpoints" / name
        for mmap in (False, True):
            found = torch.load(file, weights_only=True, mmap=mmap)
            assert same(found, checkpoint.read(file))


def test_values_come_back_as_they_were(path: Path, content: Content) -> None:
    flat = torch.arange(30, dtype=torch.float32)
    content["views"] = [flat[:10], flat[10:].view(4, 5), flat[10:].view(4, 5).T, flat[:0]]
    content["types"] = [
        torch.zeros(3, dtype=dtype)
        for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool)
    ]
    content["plain"] = [None, True, -1, 2**70, float("inf"), "Zoë\ud800", (), (1, (2,)), {3: []}]
    save(path, content)
    found = checkpoint.read(path)
    assert same(found, content)
    # tensors own their memory, on which optimizers then write
    assert len({t.data_ptr() for t in found["views"][:3]}) == 3
    assert all(t.is_contiguous() for t in found["views"])


def test_it_holds_the_model(run_folder: Path) -> None:
    model = charrnn.load(run_folder / "checkpoints" / "best.ckpt")
    other = charrnn.load(run_folder / "model.safetensors")
    assert np.array_equal(model.logits("the cat"), other.logits("the cat"))


def test_what_cannot_be_read_is_not_called_damaged(path: Path, tmp_path: Path) -> None:
    assert "no such file" in refused(path)
    assert "no regular file" in refused(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert "no regular file" in refused(tmp_path / "fifo")
    for name in (path, tmp_path, tmp_path / "fifo"):
        with pytest.raises(InputError) as caught:
            checkpoint.read(name)
        assert not isinstance(caught.value, Damaged)


def test_another_version_is_told_so(path: Path, content: Content) -> None:
    content[ENTRY]["version"] = 2
    save(path, content)
    assert refused(path).endswith(
        "a checkpoint of version 2, and this charrnn reads 1; update charrnn"
    )


def test_a_signal_is_no_damage(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    def interrupted(pickled: bytes) -> None:
        raise Interrupted("a signal")

    monkeypatch.setattr(checkpoint, "_screen", interrupted)
    with pytest.raises(Interrupted):
        checkpoint.read(run_folder / "checkpoints" / "last.ckpt")


# -- damaged ones ----------------------------------------------------------------------


@pytest.mark.parametrize("every", [401, pytest.param(29, marks=pytest.mark.slow)])
def test_truncated(path: Path, original: bytes, every: int) -> None:
    for length in [*range(0, len(original), every), *range(len(original) - 150, len(original))]:
        write(path, original[:length])
        refused(path)
        if length > 64:  # with a checksum of its own, and an end where one is looked for
            write(path, original[:length] + original[-200 : -checkpoint._SEAL_LENGTH], sealed=True)
            refused(path)


@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_flipped_bytes(path: Path, original: bytes, count: int) -> None:
    generator = random.Random(count)
    for _ in range(count):
        data = bytearray(original)
        for _ in range(generator.choice([1, 1, 1, 2, 10])):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        if data != original:
            write(path, data)
            refused(path)


@pytest.mark.parametrize("count", [300, pytest.param(4000, marks=pytest.mark.slow)])
def test_flipped_bytes_under_a_fresh_checksum(
    path: Path, original: bytes, content: Content, count: int
) -> None:
    """The zip's own CRCs hold what is read; flips elsewhere (padding, dates) change nothing."""
    generator = random.Random(count)
    body = unsealed(original)
    found = []
    for _ in range(count):
        data = bytearray(body)
        data[generator.randrange(len(data) - 2)] ^= 1 << generator.randrange(8)
        write(path, data, sealed=True)
        found.append(refused_or_same(path, content))
    assert sum(found) > count // 4


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("count", [300, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_changed_pickle(path: Path, original: bytes, count: int, tmp_path: Path) -> None:
    """With every checksum right: refused, or read as what it says now."""
    generator = random.Random(count)
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    whole = entries.pop("archive/data.pkl")
    records = {
        name.removeprefix("archive/data/"): data
        for name, data in entries.items()
        if name.startswith("archive/data/")
    }
    for _ in range(count):
        pickled = bytearray(whole)
        for _ in range(generator.choice([1, 1, 3])):
            place = generator.randrange(len(pickled))
            mutation = generator.randrange(4)
            if mutation == 0:
                pickled[place] = generator.randrange(256)
            elif mutation == 1:
                del pickled[place : place + generator.randint(1, 20)]
            elif mutation == 2:
                pickled[place:place] = pickled[place : place + generator.randint(1, 20)]
            else:
                pickled[place:place] = generator.choice(OPCODES)
        craft(path, bytes(pickled), records)
        for read in (checkpoint.read, checkpoint.read_model):
            try:
                found = read(path)
            except InputError as error:
                assert "\n" not in str(error)
            else:
                assert isinstance(found, dict | TrainedModel)


OPCODES = [bytes([code]) for code in b"0123456789NRQb}])(.tue\x80\x81\x85\x88\x93\x95"]

WRONG: list[Any] = [
    None, True, -1, 0, 3, 2**62, 2**200, 0.5, float("nan"), "", "x", "\ud800", "x" * 10_000, [], {},
    [[]], {"x": 1}, (), [None] * 3, torch.zeros(()), torch.zeros(0), torch.zeros(2, 3),
    torch.full((16, 16), float("nan")), torch.zeros(16, 16, dtype=torch.int64),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value stands in nested dicts and lists; few of long lists."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else ()
    if isinstance(value, (list, tuple)):
        inner = enumerate(value[:2])
    for name, part in inner:
        yield from places(part, (*path, name))


def replaced(content: Content, path: tuple[Any, ...], value: Any) -> Content:
    """A copy with another value at a place."""
    whole = copy.deepcopy(content)
    node: Any = whole
    for name in path[:-1]:
        node = node[name]
    if isinstance(node, tuple):
        return whole
    if value is DELETED:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return whole


DELETED = object()


def wrong(content: Content, count: int) -> Iterator[Content]:
    """The content with something wrong in it, count times."""
    generator = random.Random(count)
    everywhere = list(places(content))
    shallow = [p for p in everywhere if len(p) < 4]
    for number in range(count):
        place = generator.choice(shallow if number % 2 else everywhere)
        yield replaced(content, place, generator.choice([*WRONG, DELETED]))


@pytest.mark.parametrize("count", [250, pytest.param(3000, marks=pytest.mark.slow)])
def test_wrong_values(path: Path, content: Content, count: int) -> None:
    for changed in wrong(content, count):
        save(path, changed)
        for read in (checkpoint.read, checkpoint.read_model):
            try:
                found = read(path)
            except InputError as error:
                assert str(error).startswith(f"{path}: ")
                assert "\n" not in str(error)
            else:
                assert isinstance(found, dict | TrainedModel)


@pytest.mark.parametrize("count", [25, pytest.param(300, marks=pytest.mark.slow)])
def test_resuming_from_wrong_values(
    run_folder: Path, content: Content, count: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One line and exit code 2; or it trains on, where what is wrong does not matter."""
    monkeypatch.chdir(run_folder.parent)
    file = tmp_path / "x.ckpt"
    refusals = 0
    for number, changed in enumerate(wrong(content, count)):
        save(file, changed)
        folder = tmp_path / f"run-{number}"
        words = ["train", f"resume={file}", f"hydra.run.dir={folder}", "trainer.max_steps=8"]
        code = main(words)
        err = capfd.readouterr().err
        assert "Traceback" not in err
        assert code in (0, 2), err
        if code == 2:
            refusals += 1
            assert err.rstrip().splitlines()[-1].startswith("charrnn train: ")
    assert refusals > count // 4


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("optimizer_states",), []),
        (("optimizer_states", 0), None),
        (("optimizer_states", 0, "state", 0, "exp_avg"), torch.zeros(3)),
        (("optimizer_states", 0, "state", 0, "step"), "7"),
        (("optimizer_states", 0, "state"), {}),
        (("loops", "fit_loop"), {}),
        (("loops",), {"fit_loop": [1]}),
        (("global_step",), 6),
        (("global_step",), -7),
        (("TextDataModule",), {"trained_steps": 0}),
        ((ENTRY, "ranks"), []),
        ((ENTRY, "ranks", 0), 5),
        ((ENTRY, "ranks", 0, "state"), []),
        ((ENTRY, "ranks", 0, "state", 0, 0), torch.zeros(4, 15)),
        ((ENTRY, "ranks", 0, "cpu"), torch.zeros(5056, dtype=torch.uint8)),
        ((ENTRY, "best"), {"loss": 1.0}),
        ((ENTRY, "sizes"), [4]),
        ((ENTRY, "config"), {}),
        ((ENTRY, "config", "trainer"), []),
        ((ENTRY, "config", "model", "hidden_size"), "sixteen"),
        (("state_dict", "network.decoder.bias"), torch.zeros(3)),
    ],
)
def test_resuming_from_another_state(
    run_folder: Path, content: Content, tmp_path: Path, place: tuple[Any, ...], value: Any,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(run_folder.parent)
    file = tmp_path / "x.ckpt"
    save(file, replaced(content, place, value))
    words = ["train", f"resume={file}", f"hydra.run.dir={tmp_path / 'new'}", "trainer.max_steps=8"]
    assert main(words) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert err.rstrip().splitlines()[-1].startswith("charrnn train: ")


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
    yield b"(S'" + text + b"'\nios\nsystem\n."
    string = b"X" + struct.pack("<I", len(text)) + text
    yield b"\x80\x02cposix\nsystem\n" + string + b"\x85R."
    yield b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + string + b"\x85R."
    yield b"\x80\x02cos\nsystem\n" + string + b"\x85\x81."
    yield b"\x80\x02}cbuiltins\nexec\n" + string + b"\x85Rs."
    yield b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(Nccos\nsystem\n" + string + b"\x85RtR."
    yield b"\x80\x02ctorch.serialization\nload\nX" + struct.pack("<I", 2) + b"/x\x85R."
    yield b"\x80\x02ccollections\nOrderedDict\n)R}(X\x08\0\0\0__init__cos\nsystem\nub."


def test_calls_are_not_made(path: Path, tmp_path: Path, original: bytes) -> None:
    marker = tmp_path / "called"
    for number, pickled in enumerate(calls(marker)):
        craft(path, pickled)
        refused(path)
        refused(path, charrnn.load)
        # and as files that torch.load reads otherwise
        for data in (pickled, old_format(pickled), in_a_tar(pickled)):
            write(path, data, sealed=len(data) > 2 and number % 2 == 0)
            refused(path)
            refused(path, charrnn.load)
        # in the midst of a whole one
        with zipfile.ZipFile(io.BytesIO(original)) as archive:
            whole = archive.read("archive/data.pkl")
        inner = whole[:2] + pickled.removesuffix(b".").removeprefix(b"\x80\x02") + b"0" + whole[2:]
        craft(path, inner)
        refused(path)
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
    save(path, {"state_dict": {}, "epoch": 1})
    assert "of another program" in refused(path)
    torch.save(torch.nn.Linear(2, 3), path)
    refused(path)
    torch.save({"a": 1}, path, _use_new_zipfile_serialization=False)
    refused(path)
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    refused(tmp_path / "x.npz")
    for data in (b"", b"PK", b"\0" * 1000, b"\x80\x02N.", b"{}", random.Random(1).randbytes(5000)):
        write(path, data)
        refused(path)


def tensor(size: str, dtype: str = "FloatStorage", numel: int = 4, key: str = "0") -> bytes:
    """The opcodes of a tensor, its sizes and strides written as given."""
    name = key.encode()
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
        + dtype.encode()
        + b"\nX"
        + struct.pack("<I", len(name))
        + name
        + b"X\x03\0\0\0cpu"
        + integer(numel)
        + b"tQ"
        + size.encode("latin-1")
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def integer(number: int) -> bytes:
    data = number.to_bytes(9, "little", signed=True)
    return b"\x8a\x09" + data


def shape(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> str:
    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(integer(v) for v in values) + b"t"

    return (integer(offset) + numbers(size) + numbers(stride)).decode("latin-1")


SHAPES = [
    (0, (5,), (1,)), (1, (4,), (1,)), (-1, (4,), (1,)), (0, (-4,), (1,)), (0, (4,), (-1,)),
    (0, (2**40,), (0,)), (0, (2**32, 2**32), (0, 0)), (0, (2**62, 2), (0, 0)), (0, (2**63,), (1,)),
    (2**62, (4,), (1,)), (0, (4,), (2**62,)), (0, (4, 4), (1,)), (0, (4,), ()),
    (0, (2,) * 70, (0,) * 70),
]  # fmt: skip


def hostile(path: Path) -> Iterator[str]:
    """Write hostile files to `path`, one after the other, and name them."""
    one = bytes(16)
    for offset, size, stride in SHAPES:
        craft(path, b"\x80\x02" + tensor(shape(offset, size, stride)) + b".", {"0": one})
        yield f"a tensor of size {size}, stride {stride}, offset {offset}"
    for numel in (3, 5, 2**40, -4):
        pickled = tensor(shape(0, (4,), (1,)), numel=numel)
        craft(path, b"\x80\x02" + pickled + b".", {"0": one})
        yield f"a storage that claims {numel} numbers"
    pickled = tensor(shape(0, (4,), (1,)), dtype="DoubleStorage")
    craft(path, b"\x80\x02" + pickled + b".", {"0": one})
    yield "a storage that claims another type"
    once = tensor(shape(0, (1 << 18,), (1,)), numel=1 << 18)
    craft(path, b"\x80\x02](" + once * 3000 + b"e.", {"0": bytes(1 << 20)})
    yield "3,000 tensors of one storage"
    for size in (10**8, 10**10, 10**18):
        craft(path, pickle.dumps(Reduced(bytearray, size), 2))
        yield f"bytearray({size})"
    craft(path, b"\x80\x02Nr\xff\xff\xff\xff.")
    yield "a memo of 4 billion entries"
    craft(path, b"\x80\x05\x8e" + struct.pack("<Q", 1 << 40) + b"x.")
    yield "a string of a terabyte"
    craft(path, b"\x80\x02X\xff\xff\xff\xffx.")
    yield "a text of 4 GB"
    craft(path, b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    yield "lists, 200,000 deep"
    craft(path, b"\x80\x02N" + b"\x85" * 400_000 + b".")
    yield "tuples, 400,000 deep"
    doubling = b"".join(
        b"](" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(60)
    )
    craft(path, b"\x80\x02]q\0" + doubling + b".")
    yield "a list of 2**60 lists"
    craft(path, b"\x80\x02(" + b"N" * (15 << 20) + b"t.")
    yield "15 million values"
    craft(path, b"\x80\x02](" + b"N" * 499_000 + b"e.")
    yield "half a million values"
    craft(path, b"\x80\x02}(" + b"X\0\0\0\0K\0" * 245_000 + b"u.")
    yield "a dict of 245,000 equal names"
    craft(path, b"\x80\x02](" + (b"\x8a\xff" + b"\x7f" * 255) * 60_000 + b"e.")
    yield "60,000 numbers of 600 digits"
    empty = tensor(shape(0, (0,), (1,)), numel=4)
    craft(path, b"\x80\x02](" + empty * 18_000 + b"e.", {"0": one})
    yield "18,000 empty tensors"
    craft(path, b"\x80\x02X" + struct.pack("<I", 15 << 20) + b"\n" * (15 << 20) + b".")
    yield "15 MB of line breaks"
    craft(path, b"\x80\x02X" + struct.pack("<I", 1 << 25) + b"x" * (1 << 25) + b".")
    yield "a pickle of 32 MB"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 28))
    write(path, path.read_bytes(), sealed=True)
    yield "256 MB of zeros, compressed"
    yield from _odd_zips(path)


def _odd_zips(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100_000):
            archive.writestr(f"a/{number}", b"")
    write(path, path.read_bytes(), sealed=True)
    yield "a zip of 100,000 empty files"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    data = path.read_bytes()
    directory = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entry = data[directory:end]
    tail = bytearray(data[end:])
    count = 30_000
    struct.pack_into("<HHI", tail, 8, count, count, len(entry) * count)
    write(path, data[:directory] + entry * count + tail, sealed=True)
    yield "30,000 entries that are one"
    for field, value in ((20, 0xFFFFFFF0), (24, 0xFFFFFFF0), (42, 0xFFFFFFF0)):
        false = bytearray(entry)
        struct.pack_into("<I", false, field, value)
        write(path, data[:directory] + false + data[end:], sealed=True)
        yield f"an entry whose field {field} is {value}"
    for offset, value in ((12, 0xFFFFFFF0), (16, 0xFFFFFFF0), (8, 0xFFFFFFFF)):
        false = bytearray(data[end:])
        struct.pack_into("<I", false, offset, value)
        write(path, data[:end] + false, sealed=True)
        yield f"a directory whose field {offset} is {value}"


def test_hostile_files_are_refused_and_cost_little(path: Path) -> None:
    """Read in a process that has 500 MB of memory more than it started with."""
    for name in hostile(path):
        line, seconds, grown = measured(path)
        assert line.startswith(f"{path}: "), name
        assert "\n" not in line, name
        # the processor's time; a machine twice as busy needs no more of it
        assert seconds < 5, name
        assert grown < 500 << 20, name


def measured(path: Path) -> tuple[str, float, int]:
    """How a file is refused in a process of its own: the line, CPU seconds, bytes."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_measure, args=(path, theirs))
    process.start()
    theirs.close()
    try:
        found: tuple[str, float, int] = ours.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"{path}: its reader ended with {process.exitcode}") from None
    process.join()
    return found


def _measure(path: Path, answer: Connection) -> None:
    pages, resident = Path("/proc/self/statm").read_text().split()[:2]
    page = resource.getpagesize()
    resource.setrlimit(
        resource.RLIMIT_AS, (int(pages) * page + (500 << 20), resource.RLIM_INFINITY)
    )
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
    began = time.process_time()
    try:
        line = f"read: {type(checkpoint.read(path))}"
    except InputError as error:
        line = str(error)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer.send((line, seconds, max(0, peak - int(resident) * page)))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.ckpt")
        for what in hostile(file):
            size = file.stat().st_size
            line, seconds, grown = measured(file)
            said = line.removeprefix(f"{file}: ")
            print(f"{what}: {size / 1e6:.1f} MB, {seconds:.2f} s, {grown / 1e6:.0f} MB, {said}")
