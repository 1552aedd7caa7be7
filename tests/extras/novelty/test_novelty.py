"""What `charrnn sample` does about copying, through the command line."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.extras.novelty.novelty_report import report_on
from charrnn.extras.novelty.training_text import TrainingText, find_training_text
from charrnn.model import Model, load
from charrnn.options.datasets import SplitOptions
from charrnn.text.preprocessing import preprocess
from tests.generation.models import trained_model

pytest.importorskip("pydivsufsort", reason="the extra novelty is not installed")

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that has its own text, of the seed 1, for a part of its training text."""
    monkeypatch.chdir(tmp_path)
    words = random.Random(0).choices(["red", "sea", "Zoë's", "blue", "\n"], k=100)
    Path("text.txt").write_text(" ".join(words) + "\n", encoding="utf-8")
    made = preprocess("text.txt", None, None, SplitOptions(val_frac=0, test_frac=0))
    trained = trained_model(vocabulary=made.vocabulary, conviction=2)
    own = Model(trained).generate(300, seed=1)
    Path("text.txt").write_text(" ".join(words) + "\n" + own[100:200], encoding="utf-8")
    made = preprocess("text.txt", None, None, SplitOptions(val_frac=0, test_frac=0))
    assert made.vocabulary == trained.vocabulary
    facts = {"input_h5": str(made.h5), "input_json": str(made.json)}
    Model(replace(trained, facts=facts)).save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def sample(path: Path, *words: str, code: int = 0) -> None:
    assert main(["sample", f"checkpoint={path}", "length=300", "seed=1", *words]) == code


def test_the_report(path: Path, capfd: Capture) -> None:
    pytest.importorskip("matplotlib", reason="the extra novelty is not installed")
    sample(path, "report=true", "output=new.txt")
    out, err = capfd.readouterr()
    text = Path("new.txt").read_text(encoding="utf-8")
    assert out == ""
    assert text == load(path).generate(300, seed=1)
    report = report_on(text, find_training_text(load(path).trained))
    assert report.longest is not None
    assert len(report.longest.text) >= 100
    found = json.loads(Path("new.report.json").read_text())
    assert found.pop("bits_per_character") > 0
    expected = report.plain()
    del expected["bits_per_character"]
    assert found == expected
    assert err.splitlines()[:-2] == str(report).splitlines()
    assert err.splitlines()[-1] == "new.report.json and .png"
    assert Path("new.report.png").read_bytes().startswith(b"\x89PNG")


def test_standard_output_stays_the_text(path: Path, capfd: Capture) -> None:
    sample(path, "report=true")
    out, err = capfd.readouterr()
    assert out == load(path).generate(300, seed=1)
    assert err.startswith("novelty: 300 characters beside ")
    assert not list(Path().glob("*.report.*"))
    sample(path, "report=true", "report_folder=told")
    assert sorted(p.name for p in Path("told").iterdir()) == [
        "sample.report.json",
        "sample.report.png",
    ]


def test_each_of_several_texts_has_a_report(path: Path, capfd: Capture) -> None:
    words = ("report=true", "num_samples=2", "temperature=[0.5,1.0]", "output=new.txt")
    sample(path, *words)
    for number in range(4):
        text = Path(f"new-{number}.txt").read_text(encoding="utf-8")
        report = json.loads(Path(f"new-{number}.report.json").read_text())
        assert report["characters"] == len(text)
        assert report["longest"]["text"] in text
    assert "3, temperature=1.0: novelty: 300 characters" in capfd.readouterr().err


def test_the_jobs_of_a_sweep_write_beside_one_another(path: Path) -> None:
    sample(path, "-m", "temperature=0.5,1.0", "report=true", "report_folder=told")
    plots = sorted(p.name for p in Path("told").glob("*.png"))
    assert plots == ["sample-0.report.png", "sample-1.report.png"]


@pytest.mark.parametrize("apart", ["json=true", "json=false"])
def test_a_list_has_one_report(path: Path, capfd: Capture, apart: str) -> None:
    sample(path, "report=true", "mode=lines", "num_samples=3", apart)
    out, err = capfd.readouterr()
    assert err.count("novelty: ") == 1
    lines = out.splitlines()
    if apart == "json=true":
        lines = [json.loads(line)["text"] for line in lines]
    characters = sum(len(line) + 1 for line in lines)
    assert f"novelty: {characters} characters" in err


def test_novel_text(path: Path, capfd: Capture) -> None:
    training = find_training_text(load(path).trained)
    sample(path)
    assert training.longest_matches(capfd.readouterr().out).max() >= 100
    sample(path, "novel=12")
    out = capfd.readouterr().out
    assert len(out) == 300
    assert training.longest_matches(out).max() <= 12
    sample(path, "novel=12")
    assert capfd.readouterr().out == out


def test_novel_lines(path: Path, capfd: Capture) -> None:
    sample(path, "mode=lines", "num_samples=10")
    first = capfd.readouterr().out.splitlines()
    Path("known.txt").write_text("\n".join(first[:5]) + " \n", encoding="utf-8")
    sample(path, "mode=lines", "num_samples=10", "novel=true", "corpus=known.txt")
    second = capfd.readouterr().out.splitlines()
    assert second[:5] == first[5:]
    assert len(second) == 10
    assert not set(second) & set(first[:5])


def test_another_corpus(path: Path, capfd: Capture) -> None:
    Path("other.txt").write_text("the blue sea")
    sample(path, "report=true", "corpus=other.txt", "report_folder=.")
    text = capfd.readouterr().out
    expected = report_on(text, TrainingText("the blue sea"))
    assert json.loads(Path("sample.report.json").read_text())["copied"] == expected.copied


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["report=true", "corpus=gone.txt"], "corpus=gone.txt: no such file or folder"),
        (["novel=0"], "novel=0: must be the longest run of characters that may be copied"),
        (["novel=true"], "novel=true: needs mode=lines"),
        (["novel=5", "mode=lines"], "novel=5: is for a text"),
        (["report_folder=x"], "report_folder=x: needs report=true"),
        (["corpus=text.txt"], "corpus=text.txt: needs report=true or novel="),
    ],
)
def test_refused_before_anything_is_written(
    path: Path, capfd: Capture, words: list[str], line: str
) -> None:
    before = sorted(Path().iterdir())
    sample(path, *words, "output=new.txt", code=2)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"charrnn sample: {line}")
    assert err.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_the_training_text_is_gone(path: Path, capfd: Capture) -> None:
    Path("text.h5").unlink()
    sample(path, "report=true", code=2)
    err = capfd.readouterr().err
    assert err.startswith("charrnn sample: corpus=null: the text that the model was trained on is")
    assert "give corpus=" in err


def test_without_a_report_nothing_more_is_imported(path: Path) -> None:
    script = (
        "import sys; from charrnn.__main__ import main\n"
        f"main(['sample', 'checkpoint={path}', 'length=5', 'novel=4'])\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
