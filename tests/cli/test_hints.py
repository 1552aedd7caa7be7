"""What a person who comes from elsewhere types, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.models import model_file
from charrnn.say import fitted
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["temperature=0,5"], "a number is written with a point: temperature=0.5"),
        (["temperature=0.2,0.5"], "several values are a sweep and need -m"),
        (["prompt=abc"], "here it is start_text"),
        (["max_tokens=5"], "here it is length"),
        (["n_predict=5"], "here it is length"),
        (["lenght=5"], "did you mean length?"),
    ],
)
def test_hints(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", *words]) == 2
    assert hint in capsys.readouterr().err


def test_an_option_is_named_as_the_command_spells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes("café au lait, ".encode("latin-1") * 9)
    assert main(["train", "data.input_txt=latin.txt"]) == 2
    assert "give its encoding (data.encoding=latin-1, say)" in capsys.readouterr().err
    assert main(["preprocess", "input_txt=latin.txt"]) == 2
    assert "give its encoding (encoding=latin-1, say)" in capsys.readouterr().err


def test_marks_of_typography_are_read_as_a_keyboards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    vocabulary = Vocabulary(list("ab'- \n"))
    model_file.save(Path("model.safetensors"), trained_model(vocabulary=vocabulary))
    words = ["sample", "checkpoint=model.safetensors", "length=20", "seed=1"]
    assert main([*words, "start_text=a’b – a"]) == 0
    out, err = capsys.readouterr()
    assert err.count("reads those of a keyboard instead") == 1
    assert main([*words, "start_text=a'b - a"]) == 0
    assert capsys.readouterr().out.removeprefix("a'b - a") == out.removeprefix("a’b – a")
    assert main([*words, "start_text=a…"]) == 2  # it knows no full stop
    assert "'…'" in capsys.readouterr().err
    assert main([*words, "start_text=語"]) == 2
    assert "'語'" in capsys.readouterr().err


def test_lines_break_between_words_and_never_in_a_command() -> None:
    command = "charrnn sample checkpoint=outputs/train/2026-11-26/12-00-00-000000"
    assert fitted(f"sample from the best: {command}", 80) == [
        "sample from the best:",
        f"  {command}",
    ]
    path = "/a/" + "b-" * 60 + "c.txt"
    assert path in [line.strip() for line in fitted(f"cannot be read: {path} is gone", 80)]
    assert fitted("short", None) == ["short"]
    install = "pip install -e '.[serve]'"
    told = fitted(f"serve needs the package fastapi, which is not installed here: {install}", 80)
    assert any(install in line for line in told)
