"""Test what a finished run reports: one loss everywhere, names that commands take."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import charrnn
from charrnn.__main__ import main
from charrnn.models import model_file
from tests.conftest import write_files
from tests.faults import child
from tests.small_runs import SMALL, Capture, Train, tensors


def test_the_loss_of_a_model_is_one_number(train: Train, workplace: Path, capfd: Capture) -> None:
    """Check the loss as written: at the end of the training, in table and report."""
    run = train("trainer.max_steps=40", "callbacks.samples.length=60", folder="outputs/train/a/b")
    said = capfd.readouterr().err
    facts = model_file.read_facts(run / "model.safetensors")
    loss = facts["val_loss_as_written"]
    assert loss < facts["val_loss"]
    losses = f"network {facts['val_loss']:.4f}, counts {facts['counts_loss']:.4f}, both {loss:.4f}"
    assert f"\nbest model, of step {facts['step']}: {losses}; trained in 0:0" in said
    assert model_file.load(run / "model.safetensors").loss == loss

    assert main(["runs"]) == 0
    table = capfd.readouterr().out
    losses = rf"{facts['val_loss']:.4f} +{loss:.4f}"
    assert re.search(rf"network_loss +loss .*\n.*a/b +corpus.txt +{losses}", table)
    assert main(["runs", "json=true"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["loss"], row["network_loss"]) == (loss, facts["val_loss"])
    assert row["counts_loss"] == facts["counts_loss"]
    minutes, seconds = map(int, re.findall(r"trained in (\d+):(\d+)", said)[0])
    assert 60 * minutes + seconds == round(row["seconds"])

    assert f"<b>{loss:.4f}</b> nats per character" in (run / "report.html").read_text()

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


def test_a_training_ends_with_three_lines(train: Train, workplace: Path, capfd: Capture) -> None:
    name = "outputs/train/day/large"
    train("trainer.max_steps=2", folder=name)
    losses, *lines = capfd.readouterr().err.splitlines()[-3:]
    assert losses.startswith("best model, of step 2: network ")
    assert lines == [
        f"run folder: {name}, with report.html",
        f"sample from it: charrnn sample checkpoint={name}",
    ]


OTHER_TEXT = "another text in its language: data.background=FILE"


def test_the_losses_are_followed_by_what_helps(
    train: Train, workplace: Path, capfd: Capture
) -> None:
    """Train on a text of 80 kB and on one of 28 kB, with the counts and without them."""

    def read_advice(text: str, *words: str) -> str:
        train("trainer.max_steps=14", f"data.input_txt={text}", *words, folder=f"of {text}")
        line = capfd.readouterr().err.splitlines()[-3]
        return line.partition("; trained in 0:0")[2][1:]

    text = (workplace / "corpus.txt").read_text(encoding="utf-8")
    write_files(workplace, {"long": text * 80, "short": text * 28, "other": text})
    problem = "; the network is not yet better than the counts"
    assert read_advice("long") == f"{problem}: train longer"
    assert read_advice("short") == f"{problem}: train longer, or add {OTHER_TEXT}"
    write_files(workplace, {"quick": text * 80})
    # a network that does not change
    assert read_advice("quick", "optimizer.lr=1e-30") == f"{problem}: give a longer text"
    write_files(workplace, {"uncounted": text * 28})
    assert (
        read_advice("uncounted", "callbacks.counts.characters=0") == f"; better with {OTHER_TEXT}"
    )
    write_files(workplace, {"helped": text * 28})
    helped = ("callbacks.counts.characters=0", "data.background=other")
    assert read_advice("helped", *helped) == ""


def test_of_two_runs_begun_at_once_in_one_folder_one_lives(workplace: Path) -> None:
    words = ["train", *SMALL, "trainer.max_steps=20", "hydra.run.dir=run"]
    with ThreadPoolExecutor() as both:
        ends = both.map(lambda words: child.run(words, workplace, code=None), [words] * 2)
    said = (workplace / "log.txt").read_text("utf-8")
    assert sorted(ends) == [0, 2], said
    assert re.search(r"^charrnn train: .*(?:is training in it|holds a run already)", said, re.M)
    assert tensors(workplace / "run")["step"] == 20
    assert (workplace / "run" / "model.safetensors").is_file()
