"""`charrnn evaluate by=line` and `by=character` through the command line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.model import Model, load
from tests.generation.models import trained_model

TEXT = "To be,\n\nor not\nqqXqq zz"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Model(trained_model()).save(tmp_path / "model.safetensors")
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "model.safetensors"


Capture = pytest.CaptureFixture[str]


def evaluate(capfd: Capture, path: Path, *words: str, text: str = "text.txt") -> str:
    capfd.readouterr()
    assert main(["evaluate", f"checkpoint={path}", f"data.input_txt={text}", *words]) == 0
    return capfd.readouterr().out


def as_json(capfd: Capture, path: Path, *words: str, text: str = "text.txt") -> dict[str, Any]:
    return json.loads(evaluate(capfd, path, "json=true", *words, text=text))


def test_by_character(path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = as_json(capfd, path, "by=character")
    assert found["text"] == TEXT
    losses = load(path).losses(TEXT)
    assert found["bits"][0] is None
    assert found["bits"][1:] == pytest.approx((losses / np.log(2)).tolist(), rel=1e-5)
    whole = as_json(capfd, path)
    for name in ("characters", "loss", "bits_per_character", "perplexity"):
        assert found[name] == pytest.approx(whole[name], rel=1e-6)
    lines = evaluate(capfd, path, "by=character").splitlines()
    assert [line[9:] for line in lines] == [repr(c) for c in TEXT]
    assert [float(line[:7]) for line in lines[1:]] == pytest.approx(found["bits"][1:], abs=6e-4)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert as_json(capfd, path, "by=character", text="-") == found


def test_by_line(path: Path, capfd: Capture) -> None:
    found = as_json(capfd, path, "by=line")["lines"]
    bits = [line["bits_per_character"] for line in found]
    assert bits == sorted(bits, reverse=True)
    assert {line["line"]: line["text"] for line in found} == {
        1: "To be,",
        3: "or not",
        4: "qqXqq zz",
    }
    own = load(path).losses(TEXT)[7:14] / np.log(2)  # of line 3, with its end
    [third] = [line for line in found if line["line"] == 3]
    assert (third["characters"], third["bits_per_character"]) == (7, pytest.approx(own.mean()))
    lines = evaluate(capfd, path, "by=line").splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == [line["text"] for line in found]


def test_what_the_model_does_not_know(path: Path, capfd: Capture) -> None:
    Path("odd.txt").write_text("To é be,\nü\n", encoding="utf-8")
    words = (f"checkpoint={path}", "data.input_txt=odd.txt", "by=line")
    assert main(["evaluate", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("charrnn evaluate: data.input_txt=odd.txt: the character 'é' (U+00E9)")
    found = as_json(capfd, path, "unknown=skip", "by=character", text="odd.txt")
    rest = load(path).losses("To  be,\n\n") / np.log(2)
    assert [b for b in found["bits"] if b is not None] == pytest.approx(rest, rel=1e-5)
    assert [n for n, b in enumerate(found["bits"]) if b is None] == [0, 3, 9]
    lines = as_json(capfd, path, "unknown=skip", "by=line", text="odd.txt")["lines"]
    assert {line["text"]: line["characters"] for line in lines} == {"To é be,": 7, "ü": 1}


@pytest.mark.parametrize("words", [["window=5"], ["data.input_txt=one.txt"]])
def test_bad_input(path: Path, capfd: Capture, words: list[str]) -> None:
    Path("one.txt").write_text("a")
    text = [] if "data" in words[0] else ["data.input_txt=text.txt"]
    assert main(["evaluate", f"checkpoint={path}", "by=line", *text, *words]) == 2
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert f"charrnn evaluate: {words[0].removesuffix('=one.txt')}" in err
