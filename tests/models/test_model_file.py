"""Model files: what is written is read, and nothing else is."""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from charrnn.errors import InputError
from charrnn.models import model_file
from charrnn.models.trained import TrainedModel
from charrnn.options.cells import CELLS
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import counted, trained_model
from tests.refusals import ABSENT, changed, damage_is_noticed, refusal

FACTS = {"step": 300, "val_loss": 1.2345678901234567, "data": "zürich.txt", "n": {"a": [1, None]}}


def small_model(**given: Any) -> TrainedModel:
    model = trained_model(**{"hidden_size": 3, "embedding_size": 2, **given})
    return replace(model, facts=FACTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def assert_same(one: TrainedModel, other: TrainedModel) -> None:
    assert one.architecture == other.architecture
    assert one.vocabulary == other.vocabulary
    assert one.facts == other.facts
    assert one.weights.keys() == other.weights.keys()
    for name, weight in one.weights.items():
        assert weight.dtype == np.float32
        assert np.array_equal(weight, other.weights[name])


# -- writing and reading ---------------------------------------------------------------

MODELS: list[dict[str, Any]] = [
    *({"kind": kind, "num_layers": 3, "batchnorm": True, "skip": "sum"} for kind in CELLS),
    {"vocabulary": Vocabulary(["\0", "\n", '"', "\\", "\ufeff", "\u0301", "😀", "ſ", "\ud800"])},
    {"vocabulary": Vocabulary.from_tokens(["a", "[200]", "[255]"])},
    {"vocabulary": Vocabulary([chr(c) for c in range(0x10000, 0x20000)]), "num_layers": 1},
]


@pytest.mark.parametrize("form", MODELS, ids=lambda form: repr(form)[:40])
def test_a_model_file_is_read_as_it_was_written(path: Path, form: dict[str, Any]) -> None:
    model = small_model(**form)
    model_file.save(path, model)
    assert_same(loaded := model_file.load(path), model)
    first = path.read_bytes()
    model_file.save(path, loaded)
    assert path.read_bytes() == first
    # by other programs, too
    assert {n: w.shape for n, w in load_file(path).items()} == {
        n: w.shape for n, w in model.weights.items()
    }
    assert model_file.read_facts(path) == FACTS


# -- files that are none ---------------------------------------------------------------


def rewritten(path: Path, keys: tuple[Any, ...], value: Any, sign: bool = True) -> None:
    """Write a model file with another value in its description, whose checksum fits again."""
    model_file.save(path, COUNTED)
    content, arrays = path.read_bytes(), load_file(path)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description = changed(json.loads(header["__metadata__"]["charrnn"]), keys, value)
    if sign:
        description["sha256"] = model_file._compute_checksum(description, arrays)
    path.write_bytes(to_bytes(arrays, {"charrnn": json.dumps(description)}))


COUNTED = replace(counted(hidden_size=3, embedding_size=2), facts=FACTS)
CHANGES: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("format",), ["other", ABSENT]),
    (("version",), [2, 3, [1], ABSENT]),
    (("architecture",), [[1], ABSENT]),
    (("architecture", "kind"), ["lstn", "a\nb" * 1000, 5]),
    (("architecture", "hidden_size"), [2**62, -3, ABSENT, True, 3.0]),
    (("architecture", "num_layers"), [2**60, 3, 0]),
    (("architecture", "vocabulary_size"), [2**50, 66, 0]),
    (("architecture", "dropout"), [7.0, "0"]),
    (("architecture", "depth"), [3]),
    (("vocabulary",), [ABSENT, [1]]),
    (("vocabulary", "tokens"), ["".join(map(chr, range(65))), list(range(65)), []]),
    (("vocabulary", "tokens", 3), ["ab", "\n", ABSENT]),
    (("vocabulary", "bytes"), ["yes"]),
    (("facts",), [[["step", 1]], ABSENT]),
    (("counts",), [{}, {"context": 3}, ABSENT]),
    (("counts", "context"), [10**9, "3"]),
    (("counts", "network"), [[1]]),
    (("counts", "counts"), [[1.0, -1.0, 1.0, 1.0]]),
    (("counts", "words"), [[0.1], [0.1, float("nan")], 0.1]),
]


@pytest.mark.parametrize(
    ("keys", "values"), CHANGES, ids=lambda keys: ".".join(map(str, keys))[:40]
)
def test_a_description_that_is_wrong_is_refused(
    path: Path, keys: tuple[Any, ...], values: list[Any]
) -> None:
    for value in values:
        rewritten(path, keys, value)
        refusal(path, model_file.load)


def test_without_the_checksum_that_fits(path: Path) -> None:
    rewritten(path, ("facts", "step"), 301)
    assert model_file.load(path).facts["step"] == 301
    for keys, value in ((("facts", "step"), 301), (("sha256",), "0" * 64), (("added",), 1)):
        rewritten(path, keys, value, sign=False)
        assert "checksum" in refusal(path, model_file.load)


def tensor(shape: list[int], end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


HEADERS = [
    b"",
    b"[" * 100_000,
    b"\xff\xfe",
    {},
    *({"__metadata__": {"charrnn": text}} for text in (1, "{", "[1]", "null", "[" * 100_000)),
    {"__metadata__": {"charrnn": "[" + "[]," * 1_000_000 + "[]]"}},
    {"a": tensor([2**62, 4], 8)},
    {"a": tensor([0, 2**62], 0)},
    {"a": tensor([2], 2**40)},
    {"a": tensor([4], 8, "BF16")},
    {"line\nbreak" * 1000: tensor([2], 8)},
    b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(330_000)) + b"}}",
]


def test_other_files_are_refused(path: Path) -> None:
    for header in HEADERS:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 8)
        refusal(path, model_file.load)
    for length in (2**63, model_file.MAX_HEADER_BYTES + 1):
        path.write_bytes(length.to_bytes(8, "little") + b"{}" + b" " * 100)
        assert f"{length} bytes" in refusal(path, model_file.load)
    for content in (b"", b"PK\x03\x04" + b"\0" * 99, b"\x80\x04cos\nsystem\n"):
        path.write_bytes(content)
        refusal(path, model_file.load)
    model_file.save(path, small_model())
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    doubles = {n: w.astype(np.float64) for n, w in small_model().weights.items()}
    path.write_bytes(to_bytes(doubles, header["__metadata__"]))
    assert re.search("float32|checksum", refusal(path, model_file.load))
    path.unlink()
    assert "no such file" in refusal(path, model_file.load)
    assert "not a regular file" in refusal(path.parent, model_file.load)
    os.mkfifo(path)
    assert "not a regular file" in refusal(path, model_file.load)


def test_damage_of_a_model_file_is_noticed_anywhere(path: Path) -> None:
    """Flip, cut, insert, repeat and exchange bytes: the file is refused, or read as before."""
    model = small_model(num_layers=1)
    model_file.save(path, model)
    # half of it in the header, which is a small part of the file
    head = int.from_bytes(path.read_bytes()[:8], "little") + 8
    check = functools.partial(assert_same, model)
    assert damage_is_noticed(path, model_file.load, check, 300, head) > 240


# -- what no file may hold -------------------------------------------------------------


def test_weights_that_do_not_fit_are_named() -> None:
    model = small_model(batchnorm=True)
    weights = model.weights
    bad = weights["decoder.weight"].copy()
    bad[2, 1] = np.nan
    bias, variance = "decoder.bias", "norms.0.running_var"
    for given, line in (
        ({n: w for n, w in weights.items() if n != bias}, r"decoder\.bias is missing"),
        ({**weights, "extra": np.zeros(3, np.float32)}, "extra does not fit"),
        ({**weights, bias: np.zeros(3, np.float32)}, r"decoder\.bias is \(3,\), not \(65,\)"),
        ({**weights, "decoder.weight": bad}, r"decoder\.weight contains numbers"),
        ({**weights, variance: np.array([1, -0.1, 1], np.float32)}, "negative variance"),
    ):
        with pytest.raises(InputError, match=line):
            replace(model, weights=given)
