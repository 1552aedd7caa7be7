"""Model files: what is written is read, and nothing else is."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.cells import CELLS
from charrnn.errors import InputError, RunError
from charrnn.models import model_file
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

FACTS = {
    "step": 300,
    "val_loss": 1.2345678901234567,
    "data": "zürich.txt",
    "nested": {"a": [1, None]},
}


def small_model(**given: Any) -> TrainedModel:
    model = trained_model(**{"hidden_size": 3, "embedding_size": 2, **given})
    return replace(model, facts=FACTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def refusal(path: Path) -> str:
    """The line with which a file is refused: one, short, that names it."""
    with pytest.raises(InputError) as refused:
        model_file.load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300
    return message.removeprefix(f"{path}: ")


def assert_same(one: TrainedModel, other: TrainedModel) -> None:
    assert one.architecture == other.architecture
    assert one.vocabulary == other.vocabulary
    assert one.facts == other.facts
    assert one.weights.keys() == other.weights.keys()
    for name, weight in one.weights.items():
        assert weight.dtype == np.float32
        assert np.array_equal(weight, other.weights[name])


# Writing and reading


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("norm", [{}, {"batchnorm": True}, {"skip": "sum"}])
def test_what_is_written_is_read(path: Path, kind: str, norm: dict[str, Any]) -> None:
    model = small_model(kind=kind, num_layers=3, **norm)
    model_file.save(path, model)
    assert_same(model_file.load(path), model)


@pytest.mark.parametrize(
    "vocabulary",
    [
        Vocabulary(["a"]),
        Vocabulary(["\0", "\n", "\r", '"', "\\", "\ufeff", "\u0301", "😀", "ſ", "\ud800"]),
        Vocabulary.from_tokens(["a", "[200]", "[255]"]),
        Vocabulary(["a", "b"], is_bytes=True),
        Vocabulary(list("[20]")),
    ],
    ids=repr,
)
def test_any_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    model = small_model(vocabulary=vocabulary)
    model_file.save(path, model)
    assert_same(model_file.load(path), model)


def test_other_programs_read_the_weights(path: Path) -> None:
    from safetensors.numpy import load_file

    model = small_model()
    model_file.save(path, model)
    weights = load_file(path)
    assert all(np.array_equal(weights[name], model.weights[name]) for name in model.weights)


def test_the_same_model_is_the_same_file(path: Path) -> None:
    model_file.save(path, small_model())
    first = path.read_bytes()
    for _ in range(5):
        model_file.save(path, model_file.load(path))
        assert path.read_bytes() == first


def test_what_cannot_be_written_leaves_nothing(path: Path) -> None:
    (path.parent / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        model_file.save(path.parent / "file" / "model.safetensors", small_model())
    long = replace(small_model(), facts={"text": "x" * model_file.MAX_HEADER_BYTES})
    with pytest.raises(RunError, match="not written"):
        model_file.save(path, long)
    assert not path.exists()


def test_a_whole_plane_of_unicode_fits(path: Path) -> None:
    vocabulary = Vocabulary([chr(c) for c in range(0x10000, 0x20000)])
    model = small_model(vocabulary=vocabulary, num_layers=1)
    model_file.save(path, model)
    assert_same(model_file.load(path), model)


# Files that are none


def rewritten(path: Path, change: Callable[[dict[str, Any]], Any], sign: bool = True) -> None:
    """Write a model file whose description was changed, with a checksum that fits again."""
    from safetensors.numpy import save

    model = small_model()
    model_file.save(path, model)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description = json.loads(header["__metadata__"]["charrnn"])
    changed = change(description)
    if sign:
        description["sha256"] = model_file._checksum(description, model.weights)
    text = changed if isinstance(changed, str) else json.dumps(description)
    path.write_bytes(save(model.weights, {"charrnn": text}))


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no JSON": lambda d: "{",
    "JSON of another kind": lambda d: "[1]",
    "a number": lambda d: "1e999",
    "null": lambda d: "null",
    "nested deeply": lambda d: "[" * 100_000,
    "a huge number": lambda d: '{"format": ' + "9" * 5000 + "}",
    "another program": lambda d: d.update(format="other"),
    "no format": lambda d: d.pop("format") and None,
    "another version": lambda d: d.update(version=2),
    "a version of another kind": lambda d: d.update(version=[1]),
    "no architecture": lambda d: d.pop("architecture"),
    "an architecture of another kind": lambda d: d.update(architecture=[1]),
    "no hidden size": lambda d: d["architecture"].pop("hidden_size"),
    "a huge hidden size": lambda d: d["architecture"].update(hidden_size=2**62),
    "a hidden size beyond 64 bits": lambda d: d["architecture"].update(hidden_size=10**40),
    "a negative hidden size": lambda d: d["architecture"].update(hidden_size=-3),
    "2**60 layers": lambda d: d["architecture"].update(num_layers=2**60),
    "another number of layers": lambda d: d["architecture"].update(num_layers=3),
    "a huge vocabulary": lambda d: d["architecture"].update(vocabulary_size=2**50),
    "dropout 7": lambda d: d["architecture"].update(dropout=7.0),
    "a kind with line breaks": lambda d: d["architecture"].update(kind="a\nb" * 1000),
    "no vocabulary": lambda d: d.pop("vocabulary"),
    "tokens as one text": lambda d: d["vocabulary"].update(tokens="".join(map(chr, range(65)))),
    "tokens that are numbers": lambda d: d["vocabulary"].update(tokens=list(range(65))),
    "tokens of two characters": lambda d: d["vocabulary"]["tokens"].__setitem__(3, "ab"),
    "a token twice": lambda d: d["vocabulary"]["tokens"].__setitem__(3, "\n"),
    "a token too few": lambda d: d["vocabulary"]["tokens"].pop(),
    "no tokens": lambda d: d["vocabulary"].update(tokens=[]),
    "bytes of another kind": lambda d: d["vocabulary"].update(bytes="yes"),
    "bytes that are none": lambda d: (
        d["vocabulary"]["tokens"].__setitem__(3, "é"),
        d["vocabulary"].update(bytes=True),
    ),
    "no facts": lambda d: d.pop("facts"),
    "facts of another kind": lambda d: d.update(facts=[["step", 1]]),
}


def test_a_rewritten_file_is_read(path: Path) -> None:
    rewritten(path, lambda d: d["facts"].update(step=301))
    assert model_file.load(path).facts["step"] == 301
    for change in (
        lambda d: d["facts"].update(step=301),
        lambda d: d["vocabulary"]["tokens"].reverse(),
        lambda d: d["architecture"].update(dropout=0.5),
        lambda d: d.update(sha256="0" * 64),
        lambda d: d.update(sha256=None),
        lambda d: d.update(added=1),
    ):
        rewritten(path, change, sign=False)
        assert "checksum" in refusal(path)
    rewritten(path, lambda d: d.pop("sha256") and None, sign=False)
    assert "sha256" in refusal(path)


@pytest.mark.parametrize("change", CHANGES)
def test_a_description_that_is_wrong_is_refused(path: Path, change: str) -> None:
    rewritten(path, CHANGES[change])
    assert "not a charrnn model file" in refusal(path)


def with_header(path: Path, header: bytes | dict[str, Any], body: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def tensor(shape: list[int], end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"a": ' * 1000,
        b"\xff\xfe",
        {},
        {"__metadata__": [1]},
        {"__metadata__": {"charrnn": 1}},
        {"a": tensor([-2], 8)},
        {"a": tensor([2**62, 4], 8)},
        {"a": tensor([2**64], 8)},
        {"a": tensor([0, 2**62], 0)},
        {"a": tensor([2], 2**40)},
        {"a": tensor([4], 8, "BF16")},
        {"line\nbreak" * 1000: tensor([2], 8)},
    ],
    ids=lambda header: repr(header)[:40],
)
def test_a_header_that_is_wrong_is_refused(path: Path, header: bytes | dict[str, Any]) -> None:
    with_header(path, header, b"\0" * 8)
    refusal(path)


def test_weights_of_another_kind_are_refused(path: Path) -> None:
    from safetensors.numpy import save

    model_file.save(path, small_model())
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    doubles = {n: w.astype(np.float64) for n, w in small_model().weights.items()}
    path.write_bytes(save(doubles, header["__metadata__"]))
    assert "float32" in refusal(path)


def test_a_header_of_any_length_is_refused_at_once(path: Path) -> None:
    for length in (2**63, 2**40, model_file.MAX_HEADER_BYTES + 1):
        path.write_bytes(length.to_bytes(8, "little") + b"{}" + b" " * 100)
        assert f"{length} bytes" in refusal(path)
    with path.open("wb") as file:  # really there, as a hole in the file
        file.write((2**33).to_bytes(8, "little"))
        file.truncate(2**33 + 100)
    assert f"{2**33} bytes" in refusal(path)


def test_the_largest_hostile_header_is_refused_in_a_moment(path: Path) -> None:
    entries = b",".join(b'"%d":""' % i for i in range(330_000))
    with_header(path, b'{"__metadata__":{' + entries + b"}}")
    assert 8 * model_file.MAX_HEADER_BYTES // 10 < path.stat().st_size < model_file.MAX_HEADER_BYTES
    refusal(path)
    description = "[" + "[]," * 1_000_000 + "[]]"
    with_header(path, {"__metadata__": {"charrnn": description}})
    refusal(path)


def test_other_files_are_refused(path: Path) -> None:
    assert "no such file" in refusal(path)
    assert "no regular file" in refusal(path.parent)
    os.mkfifo(path)
    assert "no regular file" in refusal(path)
    path.unlink()
    for content in (
        b"",
        b"\0",
        b"PK\x03\x04" + b"\0" * 100,
        b"\x80\x04cos\nsystem\n",
        b"text " * 9,
    ):
        path.write_bytes(content)
        refusal(path)


def test_damage_anywhere_is_noticed(path: Path) -> None:
    """Flipped, cut, inserted, repeated, exchanged: refused, or read as what it was."""
    model = small_model(num_layers=1)
    model_file.save(path, model)
    whole = path.read_bytes()
    dice = random.Random(0)
    outcomes = {"refused": 0, "the same": 0}
    for trial in range(1000):
        damaged = bytearray(whole)
        # half of them in the header, which is a small part of the file
        end = len(whole) if trial % 2 else int.from_bytes(whole[:8], "little") + 8
        at, size = dice.randrange(end), dice.choice((1, 1, 2, 4, 8, 64))
        kind = dice.randrange(6)
        if kind == 0:
            damaged[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            damaged[at : at + size] = dice.randbytes(size)
        elif kind == 2:
            del damaged[at:]
        elif kind == 3:
            del damaged[at : at + size]
        elif kind == 4:
            damaged[at:at] = damaged[at : at + size]
        else:
            other = dice.randrange(end)
            damaged[at : at + size], damaged[other : other + size] = (
                damaged[other : other + size],
                damaged[at : at + size],
            )
        path.write_bytes(damaged)
        try:
            loaded = model_file.load(path)
        except InputError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        else:
            assert_same(loaded, model)
            outcomes["the same"] += 1
    assert outcomes["refused"] > 800
