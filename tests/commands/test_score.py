"""`charrnn score` through the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.model import Model, load
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

TEXT = "To be,\n\nor not\nqqXqq zz"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Model(trained_model()).save(tmp_path / "model.safetensors")
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "model.safetensors"


Capture = pytest.CaptureFixture[str]


def score(capfd: Capture, path: Path, *words: str) -> str:
    capfd.readouterr()
    assert main(["score", f"checkpoint={path}", *words]) == 0
    return capfd.readouterr().out


def as_json(capfd: Capture, path: Path, *words: str) -> dict[str, Any]:
    return json.loads(score(capfd, path, "json=true", *words))


def test_it_agrees_with_evaluate_and_with_python(path: Path, capfd: Capture) -> None:
    found = as_json(capfd, path, "input_txt=text.txt")
    assert main(["evaluate", f"checkpoint={path}", "data.input_txt=text.txt", "json=true"]) == 0
    evaluated = json.loads(capfd.readouterr().out)
    del evaluated["split"]
    assert found == pytest.approx(evaluated, rel=1e-6)
    assert found["loss"] == pytest.approx(load(path).score(TEXT), rel=1e-6)
    lines = score(capfd, path, "input_txt=text.txt").splitlines()
    assert main(["evaluate", f"checkpoint={path}", "data.input_txt=text.txt"]) == 0
    assert lines == capfd.readouterr().out.splitlines()


def test_by_character(path: Path, capfd: Capture) -> None:
    found = as_json(capfd, path, "input_txt=text.txt", "by=character")
    assert found["text"] == TEXT
    losses = load(path).losses(TEXT)
    assert found["bits"][0] is None
    assert found["bits"][1:] == pytest.approx((losses / np.log(2)).tolist(), rel=1e-5)
    lines = score(capfd, path, "input_txt=text.txt", "by=character").splitlines()
    assert [line[9:] for line in lines] == [repr(c) for c in TEXT]
    assert [float(line[:7]) for line in lines[1:]] == pytest.approx(found["bits"][1:], abs=6e-4)


def test_by_line(path: Path, capfd: Capture) -> None:
    found = as_json(capfd, path, "input_txt=text.txt", "by=line")["lines"]
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
    lines = score(capfd, path, "input_txt=text.txt", "by=line").splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == [line["text"] for line in found]


def test_standard_input(path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from_file = as_json(capfd, path, "input_txt=text.txt")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert as_json(capfd, path) == from_file


def test_what_the_model_does_not_know(path: Path, capfd: Capture) -> None:
    Path("odd.txt").write_text("To é be,\nü\n", encoding="utf-8")
    assert main(["score", f"checkpoint={path}", "input_txt=odd.txt"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("charrnn score: input_txt=odd.txt: the character 'é' (U+00E9)")
    assert err.endswith("or give unknown=skip\n")
    found = as_json(capfd, path, "input_txt=odd.txt", "unknown=skip", "by=character")
    rest = load(path).losses("To  be,\n\n") / np.log(2)
    assert [b for b in found["bits"] if b is not None] == pytest.approx(rest, rel=1e-5)
    assert [n for n, b in enumerate(found["bits"]) if b is None] == [0, 3, 9]
    lines = as_json(capfd, path, "input_txt=odd.txt", "unknown=skip", "by=line")["lines"]
    assert {line["text"]: line["characters"] for line in lines} == {"To é be,": 7, "ü": 1}


def test_a_vocabulary_of_bytes(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    text = "zwölf 東\nab\n"
    tokens = text.encode().decode("ascii", "surrogateescape")
    vocabulary = Vocabulary(sorted(set(tokens)), is_bytes=True)
    Model(trained_model(vocabulary=vocabulary)).save(path)
    Path("text.txt").write_text(text, encoding="utf-8")
    assert main(["score", f"checkpoint={path}", "input_txt=text.txt", "by=line"]) == 0
    assert "zwölf 東\n".encode() in capfdbinary.readouterr().out


def test_a_terminal_is_shown_control_characters_and_obeys_none(path: Path) -> None:
    import pty

    Path("odd.txt").write_text("To be\x1b[31m, not\n")
    leader, follower = pty.openpty()
    try:
        command = [sys.executable, "-m", "charrnn", "score", f"checkpoint={path}", "by=line"]
        command += ["input_txt=odd.txt", "unknown=skip"]
        subprocess.run(command, stdout=follower, stderr=subprocess.DEVNULL, check=True)
        shown = os.read(leader, 1000)
    finally:
        os.close(leader)
        os.close(follower)
    assert b"\x1b" not in shown
    assert "␛[31m, not".encode() in shown


def test_too_little_to_score(path: Path, capfd: Capture) -> None:
    Path("one.txt").write_text("a")
    assert main(["score", f"checkpoint={path}", "input_txt=one.txt"]) == 2
    assert capfd.readouterr().err == (
        "charrnn score: input_txt=one.txt: has 1 characters that the model knows, and a loss "
        "needs 2 or more\n"
    )
