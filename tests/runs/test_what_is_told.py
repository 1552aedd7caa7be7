"""Test what a finished run reports: one loss everywhere, names that commands take."""

from __future__ import annotations

import html
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.models import model_file
from charrnn.runs.folder import is_run
from tests.faults import child
from tests.small_runs import SMALL, Capture, Train, tensors


def test_the_loss_of_a_model_is_one_number(train: Train, workplace: Path, capfd: Capture) -> None:
    """Check the loss as written: at the end of the training, in table, report and page."""
    run = train("trainer.max_steps=40", "callbacks.samples.length=60", folder="outputs/train/a/b")
    said = capfd.readouterr().err
    facts = model_file.read_facts(run / "model.safetensors")
    loss = facts["val_loss_as_written"]
    assert loss < facts["val_loss"]
    line = f"best validation loss {loss:.4f}, after step {facts['step']} (with its counts)\n"
    assert line in said
    assert f"network {facts['val_loss']:.4f}, " in said
    assert f"both together {loss:.4f}; " in said
    assert model_file.load(run / "model.safetensors").loss == loss

    assert main(["runs"]) == 0
    table = capfd.readouterr().out
    assert re.search(rf"loss +network alone .*\n.*a/b +{loss:.4f} +{facts['val_loss']:.4f}", table)
    assert main(["runs", "json=true"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["loss"], row["network_loss"]) == (pytest.approx(loss), facts["val_loss"])
    minutes, seconds = map(int, re.findall(r"trained in (\d+):(\d+)\n", said)[0])
    assert 60 * minutes + seconds == round(row["seconds"])

    assert f"<b>{loss:.4f}</b> nats per character" in (run / "report.html").read_text()
    assert main(["export", f"checkpoint={run}", "output=page.html"]) == 0
    page = html.unescape((workplace / "page.html").read_text())
    assert re.search(rf"Validation loss with its counts\W+{loss:.4f} nats", page)

    result = charrnn.train(f"resume={run}")  # which is finished
    assert (result.loss, result.network_loss) == (loss, facts["val_loss"])
    assert result.step == facts["step"]

    # a sample of the training is what the model writes
    step = facts["step"]
    sample = (run / "samples" / f"step-{step:07d}.txt").read_text(encoding="utf-8")
    assert sample == charrnn.load(run).generate(length=60, temperature=0.8, seed=step)


def test_commands_take_the_names_that_runs_prints(
    train: Train, run_copy: Train, workplace: Path, capfd: Capture
) -> None:
    run_copy("trainer.max_steps=2", folder="outputs/train/day/a=1,b")
    assert main(["runs", "json=true"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    name = row["run"]
    assert name == "train/day/a=1,b"
    assert main(["sample", f"checkpoint={name}", "length=5"]) == 0
    train(f"resume={name}", "trainer.max_steps=3", small=False)
    train("trainer.max_steps=1", f"init_from={name}", folder="next")
    assert main(["runs", f"remove={name}"]) == 0
    assert not is_run(workplace / "outputs" / name)


def test_a_small_text_is_told_what_helps(train: Train, workplace: Path, capfd: Capture) -> None:
    text = (workplace / "corpus.txt").read_text(encoding="utf-8")
    (workplace / "long.txt").write_text(text * 30, encoding="utf-8")
    train("trainer.max_steps=2", "data.input_txt=long.txt", folder="outputs/train/day/large")
    last = capfd.readouterr().err.splitlines()[-6:]
    name = "outputs/train/day/large"
    assert last[0].startswith("best validation loss ")
    assert last[1].startswith("trained in ")
    assert last[2:] == [
        f"run folder: {name}, with report.html",
        f"sample from it: charrnn sample checkpoint={name}",
        f"write with it in a browser: charrnn serve checkpoint={name}",
        "better with another text in its language: charrnn train long.txt data.background=FILE",
    ]
    # a newer run on a larger text of other words
    (workplace / "code.txt").write_text("".join(sorted(text)) * 30, encoding="utf-8")
    train("trainer.max_steps=2", "data.input_txt=code.txt", folder="outputs/a/code")
    capfd.readouterr()
    train("trainer.max_steps=2", folder="outputs/train/day/again")
    command = re.search(
        r"better from a model that .*: charrnn (train .*init_from=.*)", capfd.readouterr().err
    )
    assert command is not None
    words = shlex.split(command[1])
    assert words[-1] == "init_from=outputs/train/day/large"
    few = [word for word in SMALL if not word.startswith(("model.", "data.input_txt"))]
    assert main([*words, *few, "trainer.max_steps=1", "model.dropout=0"]) == 0
    assert "so small a text" not in capfd.readouterr().err


def test_code_and_lists_are_told_of_no_other_text(train: Train, capfd: Capture) -> None:
    code = Path(charrnn.__file__).with_name("data.py").read_text("utf-8")
    for name, text in (("code", code), ("names", "".join(f"{n:x} smith\n" for n in range(999)))):
        Path(f"{name}.txt").write_text(text, encoding="utf-8")
        train("trainer.max_steps=2", f"data.input_txt={name}.txt", folder=f"outputs/{name}/run")
        last = capfd.readouterr().err.splitlines()[-1]
        assert last.startswith("write with it in a browser: charrnn serve checkpoint="), name


def test_losses_of_other_texts_are_no_rank(train: Train, workplace: Path, capfd: Capture) -> None:
    """Check a text that changed under its name, too."""
    train("trainer.max_steps=2", folder="outputs/a/whole")
    text = (workplace / "corpus.txt").read_text(encoding="utf-8")
    (workplace / "corpus.txt").write_text(text[::-1], encoding="utf-8")
    train("trainer.max_steps=2", folder="outputs/a/changed")
    capfd.readouterr()
    assert main(["runs"]) == 0
    tables = capfd.readouterr().out.split("\n\n")
    assert [len(re.findall("a/(?:whole|changed)", table)) for table in tables] == [1, 1]


@pytest.mark.parametrize("pairs", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_of_two_runs_begun_at_once_in_one_folder_one_lives(workplace: Path, pairs: int) -> None:
    for pair in range(pairs):
        words = ["train", *SMALL, "trainer.max_steps=20", f"hydra.run.dir=run-{pair}"]
        with ThreadPoolExecutor() as both:
            ends = both.map(lambda words: child.run(words, workplace, code=None), [words] * 2)
        said = (workplace / "log.txt").read_text("utf-8")
        assert sorted(ends) == [0, 2], said
        refused = r"^charrnn train: .*(?:is training in it|holds a run already)"
        assert len(re.findall(refused, said, re.M)) == pair + 1
        assert tensors(workplace / f"run-{pair}")["step"] == 20
        assert (workplace / f"run-{pair}" / "model.safetensors").is_file()
