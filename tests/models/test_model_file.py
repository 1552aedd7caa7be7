"""Model files: what is written is read, and nothing else is."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from charrnn.model import Model
from charrnn.models import model_file
from charrnn.models.trained import TrainedModel
from charrnn.options.cells import CELLS
from charrnn.text.vocabulary import Vocabulary
from tests import REPOSITORY
from tests.conftest import Patch
from tests.generation.models import make_counted_model, make_model
from tests.tools import ABSENT, damage_is_noticed, refusal, replace_at

FACTS = {"step": 300, "val_loss": 1.2345678901234567, "data": "zürich.txt", "n": {"a": [1, None]}}


def small_model(**given: Any) -> TrainedModel:
    model = make_model(**{"hidden_size": 3, "embedding_size": 2, **given})
    return replace(model, facts=FACTS)


def assert_same(one: TrainedModel, other: TrainedModel) -> None:
    assert one.architecture == other.architecture
    assert one.vocabulary == other.vocabulary
    assert one.facts == other.facts
    assert {weight.dtype for weight in one.weights.values()} == {np.dtype(np.float32)}
    np.testing.assert_equal(one.weights, other.weights)


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


def test_the_reader_in_the_docs_computes_the_logits(path: Path, monkeypatch: Patch) -> None:
    page = (REPOSITORY / "docs" / "model-file.md").read_text("utf-8")
    reader = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(path.parent)
    for skip in ("none", "sum"):
        model, found = make_counted_model(skip=skip), dict[str, Any]()
        model_file.save(path, model)
        exec(reader, found)
        logits = Model(model).logits("\n" + found["text"][:-1], counts="none")
        assert np.abs(logits[-1] - found["logits"].numpy().ravel()).max() < 1e-5


def write_changed(
    path: Path, keys: tuple[Any, ...], value: Any, sign: bool = True, kind: Any = np.float32
) -> None:
    """Write a model file with another value in its description, whose checksum fits if `sign`."""
    model_file.save(path, COUNTED)
    content, arrays = path.read_bytes(), load_file(path)
    arrays["decoder.bias"] = arrays["decoder.bias"].astype(kind)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description = replace_at(json.loads(header["__metadata__"]["charrnn"]), keys, value)
    if sign:
        description["sha256"] = model_file._compute_checksum(description, arrays)
    path.write_bytes(to_bytes(arrays, {"charrnn": json.dumps(description)}))


COUNTED = replace(make_counted_model(hidden_size=3, embedding_size=2), facts=FACTS)
TOKENS = ("vocabulary", "tokens")
# place, value, and a part of the line that refuses the file
CHANGES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("format",), "other", "it is another program's file"),
    (("version",), 2, "of version 2, and this charrnn reads 7"),
    (("architecture", "kind"), "lstn", "model.kind=lstn: must be one of lstm"),
    (("architecture", "hidden_size"), 2**62, "weight_ih_l0 is (12, 2), not (18446744073709551616,"),
    ((*TOKENS, 3), "\n", "the same character twice"),
    (("counts",), ABSENT, "of version 7, and this charrnn reads 1"),
    (("counts", "context"), 10**9, "its counts are not a valid table"),
    (("counts", "counts"), [1.0, -1.0, 1.0, 1.0], "its counts are not described by numbers"),
]


@pytest.mark.parametrize(("keys", "value", "line"), CHANGES)
def test_a_wrong_description_of_a_model_is_refused(
    path: Path, keys: tuple[Any, ...], value: Any, line: str
) -> None:
    write_changed(path, keys, value)
    assert line in refusal(path, model_file.load)


def test_a_description_that_does_not_fit_its_checksum_is_refused(path: Path) -> None:
    write_changed(path, ("facts", "step"), 301)
    assert model_file.load(path).facts["step"] == 301
    for keys, value in ((("facts", "step"), 301), (("sha256",), "0" * 64), (("added",), 1)):
        write_changed(path, keys, value, sign=False)
        assert "checksum" in refusal(path, model_file.load)
    write_changed(path, ("facts", "step"), 301, kind=np.float64)
    assert "its weights are not float32" in refusal(path, model_file.load)


TENSOR = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
# a header, and a part of the line that refuses the file
HEADERS: list[tuple[bytes | dict[str, Any], str]] = [
    (b"[" * 100_000, "invalid JSON"),
    ({"__metadata__": {"charrnn": "[" * 100_000}, **TENSOR}, "recursion"),
    ({"line\nbreak" * 1000: TENSOR["a"]}, "it lacks 'charrnn'"),
]


def test_other_files_than_model_files_are_refused(path: Path) -> None:
    contents = [(b"", "header too small"), (b"PK\x03\x04" + b"\0" * 99, "67324752 bytes long")]
    for header, line in HEADERS:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        contents.append((len(text).to_bytes(8, "little") + text + b"\0" * 8, line))
    length = model_file.MAX_HEADER_BYTES + 1
    contents.append((length.to_bytes(8, "little") + b"{}" + b" " * 100, f"{length} bytes"))
    for content, line in contents:
        path.write_bytes(content)
        assert line in refusal(path, model_file.load)
    path.unlink()
    assert "no such file" in refusal(path, model_file.load)
    os.mkfifo(path)
    assert "not a regular file" in refusal(path, model_file.load)


def test_damage_of_a_model_file_is_noticed_anywhere(path: Path) -> None:
    model = small_model(num_layers=1)
    model_file.save(path, model)
    # half of it in the header, which is a small part of the file
    head = int.from_bytes(path.read_bytes()[:8], "little") + 8
    check = functools.partial(assert_same, model)
    assert damage_is_noticed(path, model_file.load, check, 300, head) > 240
