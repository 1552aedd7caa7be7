"""Damaged and hostile .t7 files: one clear line each, or the model but for a number.

Every file is made from a checkpoint by one change. Whatever the change is, reading must
end in an InputError of one line or in a model of the same shape, in which at most one
tensor row's worth of numbers or one character differs; and it must not take memory that
the file has no bytes for.
"""

from __future__ import annotations

import random
import re
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.models.torch7 import read_model
from charrnn.models.trained import TrainedModel
from tests.models.torch7 import writer as t7

MEMORY = 20_000_000  # bytes; the files have 160,000 at most
SIZES = [2**62, 2**63 - 1, -1, 0, 1, 2, 3, 2**31 - 1, -(2**31), 2**40]
CLASSES = [
    "torch.CudaTensor",
    "torch.CudaStorage",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.FloatTensor",
    "torch.LongTensor",
    "torch.",
    "nn.gModule",
    "nn.LanguageModel",
    "nn.LSTM",
    "nn.Linear",
    "nn.View",
    "os.execute",
    "__reduce__",
    "\n\x1b[31m",
    "",
]
CLASS_NAME = re.compile(rb"(?:nn|torch)\.[A-Za-z]+")


def truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def flipped(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def replaced(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(1) + data[at + 1 :]


def flipped_in_structure(rng: random.Random, data: bytes) -> bytes:
    """Where tags, names and sizes are, rather than in the bulk of the numbers."""
    names = [match.start() for match in CLASS_NAME.finditer(data)]
    at = min(len(data) - 1, max(0, rng.choice(names) + rng.randrange(-40, 100)))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def cut_out(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 50) :]


def doubled(rng: random.Random, data: bytes) -> bytes:
    at, size = rng.randrange(len(data)), rng.randrange(1, 200)
    return data[: at + size] + data[at:]


def number_replaced(rng: random.Random, data: bytes) -> bytes:
    """A size, an index or a tag becomes another: huge, negative, one of those seen before."""
    value = rng.choice([*SIZES, rng.randrange(40)])
    if data[:1] == b"3":
        match = rng.choice(list(re.finditer(rb"(?<=\n)-?\d+(?=[ \n])", data)))
        return data[: match.start()] + str(value).encode() + data[match.end() :]
    # the small whole numbers, four bytes each, that precede and follow a class name
    name = rng.choice(list(CLASS_NAME.finditer(data)))
    at = rng.choice([name.start() - 4, name.start() - 15, name.end(), name.end() + 4])
    form = rng.choice(["<i", "<q"])
    value = max(-(2**31), min(2**31 - 1, value)) if form == "<i" else value
    content = struct.pack(form, value)
    return data[:at] + content + data[at + len(content) :]


def class_replaced(rng: random.Random, data: bytes) -> bytes:
    name = rng.choice(list(CLASS_NAME.finditer(data)))
    other = rng.choice(CLASSES).encode()
    if data[:1] == b"3":
        old, new = (b"%d\n%s" % (len(n), n) for n in (name[0], other))
    else:
        old, new = (struct.pack("<i", len(n)) + n for n in (name[0], other))
    start = name.end() - len(old)
    return data[:start] + new + data[name.end() :]


def function_put_in(rng: random.Random, data: bytes) -> bytes:
    tags = list(re.finditer(rb"\n[1-5]\n" if data[:1] == b"3" else rb"[\1-\5]\0\0\0", data))
    tag = rng.choice(tags)
    other = rng.choice([6, 7, 8])
    new = b"\n%d\n" % other if data[:1] == b"3" else struct.pack("<i", other)
    return data[: tag.start()] + new + data[tag.end() :]


MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [
    truncated,
    flipped,
    replaced,
    flipped_in_structure,
    cut_out,
    doubled,
    number_replaced,
    class_replaced,
    function_put_in,
]


def originals(shared: Path) -> Iterator[tuple[bytes, TrainedModel]]:
    folder = shared / "torch7"
    made, _ = t7.checkpoint(list("abcdefgh\n Üß"), batchnorm=True, dropout=0.5, num_layers=3)
    for content in [
        *(path.read_bytes() for path in sorted(folder.glob("*.t7"))),
        t7.dumps(made),
        t7.dumps(made, ascii=True),
    ]:
        path = Path("original.t7")
        path.write_bytes(content)
        yield content, read_model(path)


def check(path: Path, original: TrainedModel) -> str:
    """What became of a mutated file."""
    try:
        model = read_model(path)
    except InputError as error:
        line = str(error)
        assert line.startswith(f"{path}: ")
        assert line.isprintable()
        assert len(line) < 600
        return "refused"
    dropout = original.architecture.dropout
    assert {**vars(model.architecture), "dropout": dropout} == vars(original.architecture)
    characters = np.array(model.vocabulary.characters)
    assert np.sum(characters != np.array(original.vocabulary.characters)) <= 1
    weights = original.weights
    with np.errstate(invalid="ignore"):
        differing = {
            name: int((model.weights[name] != weights[name]).sum())
            for name in weights
            if not np.array_equal(model.weights[name], weights[name], equal_nan=True)
        }
    # one number of the file; eps is one number too, and stands in a whole running_var
    assert len(differing) <= 1, differing
    for name, count in differing.items():
        assert count <= (weights[name].size if "running_var" in name else 1), differing
    return "read" if differing else "read, unchanged"


def run(shared: Path, seeds: range) -> dict[str, dict[str, int]]:
    outcomes: dict[str, dict[str, int]] = {m.__name__: {} for m in MUTATIONS}
    path = Path("x.t7")
    for content, original in originals(shared):
        for mutate in MUTATIONS:
            for seed in seeds:
                path.write_bytes(mutate(random.Random(seed), content))
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
                outcome = check(path, original)
                _, peak = tracemalloc.get_traced_memory()
                assert peak - before < MEMORY, (mutate.__name__, seed)
                counts = outcomes[mutate.__name__]
                counts[outcome] = counts.get(outcome, 0) + 1
    return outcomes


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    yield
    tracemalloc.stop()


def assert_both_ends(outcomes: dict[str, Any]) -> None:
    """The mutations reach the structure, and reach the numbers."""
    assert all(counts.get("refused", 0) for counts in outcomes.values()), outcomes
    assert any(counts.get("read", 0) for counts in outcomes.values()), outcomes


@pytest.mark.usefixtures("traced")
def test_mutated(shared: Path) -> None:
    assert_both_ends(run(shared, range(6)))


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_thousands_mutated(shared: Path) -> None:
    assert_both_ends(run(shared, range(1000, 1100)))
