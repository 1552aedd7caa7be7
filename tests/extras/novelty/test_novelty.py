"""Test copying with `charrnn sample`, through the command line."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.extras.novelty.novelty_report import Passage, report_on
from charrnn.model import Model, load
from charrnn.options.datasets import SplitOptions
from charrnn.text.preprocessing import preprocess
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import make_model
from tests.small_runs import Capture


@pytest.fixture
def path(workplace: Path) -> Path:
    """Make a model whose training text contains its text of seed 1."""
    text = " ".join(random.Random(0).choices(["red", "sea", "Zoë's", "blue", "\n"], k=100)) + "\n"
    trained = make_model(vocabulary=Vocabulary(list(dict.fromkeys(text))), conviction=2)
    own = Model(trained).generate(300, seed=1)
    Path("text.txt").write_text(text + own[100:200], encoding="utf-8")
    data = preprocess("text.txt", None, None, SplitOptions(val_frac=0, test_frac=0))
    Model(replace(trained, facts=data.facts)).save(workplace / "model.safetensors")
    return workplace / "model.safetensors"


def sample(path: Path, *words: str, code: int = 0) -> None:
    assert main(["sample", f"checkpoint={path}", "length=300", "seed=1", *words]) == code


def test_every_text_has_a_report(path: Path, capfd: Capture) -> None:
    words = ("report=true", "num_samples=2", "output=new.txt")
    sample(path, *words, "corpus=text.txt")
    out, err = capfd.readouterr()
    assert out == ""
    training = Path("text.txt").read_text(encoding="utf-8")
    texts = Path("new.txt").read_text(encoding="utf-8").split("\n----------\n")
    for number, text in enumerate(texts):
        assert f"{number}: {report_on(text, training)}\n" in err
    assert len(texts) == 2
    sample(path, "report=true")
    out, err = capfd.readouterr()
    assert (out, err) == (load(path).generate(300, seed=1), f"{report_on(out, training)}\n")
    sample(path, "report=true", "mode=lines", "num_samples=3", "json=true")
    out, err = capfd.readouterr()
    lines = [json.loads(line)["text"] for line in out.splitlines()]
    assert f"novelty: {sum(len(line) + 1 for line in lines)} characters" in err


def test_novel_lines_are_in_no_split(path: Path, capfd: Capture) -> None:
    words = ("mode=lines", "num_samples=10")
    sample(path, *words)
    first = capfd.readouterr().out.splitlines()
    characters = load(path).vocabulary.characters
    text = "\n".join(["".join(characters), *first[:5]]) + " \n"
    Path("known.txt").write_text(text, encoding="utf-8")
    facts = preprocess("known.txt", None, None, SplitOptions(val_frac=0.3, test_frac=0.3)).facts
    Model(replace(load(path).trained, facts=facts)).save("other.safetensors")
    for model, corpus in ((path, "corpus=known.txt"), (Path("other.safetensors"), "corpus=null")):
        sample(model, *words, "novel=true", corpus)
        second = capfd.readouterr().out.splitlines()
        assert second[:5] == first[5:]
        assert len(set(second) - set(first[:5])) == 10


def test_a_report_has_the_copies_and_the_longest() -> None:
    training = "one two three four five six seven eight nine ten\n" * 3
    text = str(report_on("xxx three four five six zzz.", training))
    for part in ("70.8%", "22.2%", "' three four five six '", "2 of 6: xxx, zzz"):
        assert part in text
    report = report_on("ab ab", "x\nab")
    assert report.copied == {5: 0}
    assert report.longest == Passage(text="ab", start=0, place=2, line=2)
    assert report_on("", training).longest is None


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_counted_as_python_finds_them(seed: int) -> None:
    # characters of one to four bytes, a byte of a model of bytes, and a surrogate that is none
    draw = random.Random(seed).choices
    training = "".join(draw("ab\n東🙂\udcc3\udca9\ud800", k=200))
    text = training[20:70] + "".join(draw("ab\n🙂", k=40)) + training[100:130]
    report = report_on(text, training)
    assert report.longest is not None
    assert len(report.longest.text) >= 50
    assert report.longest.text == text[: len(report.longest.text)]
    assert training.startswith(report.longest.text, report.longest.place)
    for length, share in report.copied.items():
        passages = [text[i : i + length] for i in range(len(text) - length + 1)]
        assert share == sum(passage in training for passage in passages) / len(passages)


def test_new_words_whatever_their_case_and_in_bytes() -> None:
    training = "The King's men, don’t 42 ROMEO straße"
    report = report_on("the king's MEN blork'd; Blork romeo blork'd STRASSE don’t x2y q", training)
    assert report.words == 11
    assert report.new_words == ["blork'd", "Blork", "x", "y"]

    def tokens(text: str) -> str:
        return text.encode().decode("ascii", "surrogateescape")

    report = report_on(tokens("ein Zwölfer."), tokens("zwei Zwölf"))
    assert "' Zwölf'" in str(report)
    assert report.new_words == ["ein", "Zwölfer"]
