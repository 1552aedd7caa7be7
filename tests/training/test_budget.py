"""`budget=` through the command line: what is chosen is recorded, and a resume keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.runs import speed
from tests.small_runs import Train, tensors

# a machine like any other, so that the same is chosen everywhere
CPU = ("trainer=cpu", "trainer.threads=1", "trainer.precision=32-true")
TEXT = (*CPU, "data.input_txt=corpus.txt", "logger=csv", "callbacks.samples.length=0")
SMALL = ("model.hidden_size=16", "model.embedding_size=8")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine that trains 6,000 characters a second, and what was measured on it."""
    tried: list[Any] = []

    def measure(config: Any, *args: Any) -> float:
        tried.append(config)
        return 6000.0

    monkeypatch.setattr(speed, "measure", measure)
    return tried


def recorded(run: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((run / ".hydra" / "config.yaml").read_text())
    return config


def test_it_is_measured_chosen_told_and_recorded(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("budget=3s", *TEXT, small=False)
    lines = capfd.readouterr().err.splitlines()
    config = recorded(run)
    model, trainer = config["model"], config["trainer"]
    (what,) = (line for line in lines if line.startswith("budget=3s, about "))
    assert what.endswith(
        f": {model['hidden_size']} units, dropout {model['dropout']:g}, "
        f"{trainer['max_steps']:,} steps of {config['data']['batch_size']} x 64 characters "
        + what[what.rindex("(") :]
    )
    assert config["budget"] == "3s"
    assert config["optimizer"]["_target_"] == "charrnn.training.Muon"
    assert config["schedule"]["_target_"] == "charrnn.training.schedules.linear"
    assert (trainer["max_epochs"], trainer["gradient_clip_algorithm"]) == (None, "norm")
    assert config["data"]["shuffle"]
    assert tensors(run)["step"] == trainer["max_steps"]
    assert (run / "model.safetensors").is_file()


def test_a_resume_goes_by_the_record(
    train: Train, slow: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train("budget=1s", *TEXT, *SMALL, small=False)
    before = recorded(run)
    assert slow
    slow.clear()
    more = before["trainer"]["max_steps"] + 3
    assert main(["train", f"resume={run}", f"trainer.max_steps={more}"]) == 0
    assert not slow
    before["trainer"]["max_steps"] = more
    assert recorded(run) == before
    assert tensors(run)["step"] == more
    further = (f"trainer.max_steps={more + 1}", "hydra.run.dir=again")
    assert main(["train", f"resume={run}/checkpoints/best.ckpt", *further]) == 0
    assert recorded(run.parent / "again")["budget"] == "1s"
    assert not slow


def test_what_is_given_stays(train: Train, slow: list[Any]) -> None:
    given = (
        "model=gru", "model.dropout=0.1", "optimizer=adam", "optimizer.lr=1e-3",
        "data.batch_size=5", "data.seq_length=10", "validate_every=3",
    )  # fmt: skip
    config = recorded(train("budget=1s", *TEXT, *SMALL, *given, small=False))
    assert (config["model"]["kind"], config["model"]["hidden_size"]) == ("gru", 16)
    assert config["model"]["dropout"] == 0.1
    assert (config["optimizer"]["_target_"], config["optimizer"]["lr"]) == (
        "torch.optim.Adam",
        1e-3,
    )
    assert (config["data"]["batch_size"], config["data"]["seq_length"]) == (5, 10)
    assert config["validate_every"] == 3
    assert {each.model.hidden_size for each in slow} == {16}


def test_on_top_of_a_model(train: Train, slow: list[Any]) -> None:
    base = train("trainer.max_steps=2", folder="base")
    config = recorded(train(f"init_from={base}", "budget=1s", *TEXT, small=False))
    assert (config["model"]["hidden_size"], config["model"]["embedding_size"]) == (16, 8)


def test_auto_goes_on_with_a_run_of_the_same_budget(
    workplace: Path, slow: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "budget=1s", *TEXT, *SMALL]
    assert main([*words, "hydra.run.dir=runs/today/1", "+trainer.limit_train_batches=1.0"]) == 0
    (workplace / "runs/today/1/checkpoints/last.ckpt").unlink()
    assert main([*words, "hydra.run.dir=runs/today/3", "budget=2s", "resume=auto"]) == 0
    slow.clear()
    assert main([*words, "hydra.run.dir=runs/today/2", "resume=auto"]) == 0
    assert (workplace / "runs/today/3/model.safetensors").is_file()


def test_a_job_that_is_started_again_goes_by_the_record(train: Train, slow: list[Any]) -> None:
    words = ("budget=1s", *TEXT, *SMALL, "resume=auto", "hydra.run.dir=run")
    before = recorded(train(*words, small=False))
    assert slow
    slow.clear()
    assert recorded(train(*words, small=False)) == before
    assert not slow


@pytest.mark.slow
def test_all_processes_train_what_the_first_chose(train: Train, slow: list[Any]) -> None:
    run = train("budget=1s", *TEXT, *SMALL, "trainer.devices=2", small=False)
    config = recorded(run)
    assert config["trainer"]["strategy"] == "ddp"
    assert tensors(run)["step"] == config["trainer"]["max_steps"]
    assert {each.trainer.devices for each in slow} == {2}


def test_a_sweep_over_budgets(workplace: Path, slow: list[Any]) -> None:
    words = ["-m", "budget=1s,2s", *TEXT, *SMALL, "hydra.sweep.dir=sweep"]
    assert main(["train", *words]) == 0
    runs = [workplace / "sweep" / name for name in ("0_budget=1s", "1_budget=2s")]
    steps = [recorded(run)["trainer"]["max_steps"] for run in runs]
    assert steps[0] < steps[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["budget=10"], "budget=10: must be a time with its unit: 90s, 10m or 2h"),
        (["budget=0s"], "budget=0s: must be a time with its unit: 90s, 10m or 2h"),
        (["budget=1s", "trainer.max_epochs=3"], "trainer.max_epochs=3: budget=1s chooses how long"),
        (["budget=1s", "experiment=demo"], "trainer.max_steps=1000: budget=1s chooses how long"),
        (["budget=1s", "resume=run"], "budget=1s: a resume goes on with what was chosen"),
    ],
)
def test_what_cannot_be(
    workplace: Path, words: list[str], line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "data.input_txt=corpus.txt", *words]) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"charrnn train: {line}")
    assert err.count("\n") == 1
    assert not (workplace / "outputs").exists()


def test_a_text_gets_the_same_everywhere_without_a_budget(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--cfg", "job")
    assert main(["train", "data.input_txt=corpus.txt", *words]) == 0
    shown = yaml.safe_load(capfd.readouterr().out)
    assert shown["model"]["hidden_size"] is shown["trainer"]["max_steps"] is None
    config = recorded(train(*TEXT, "trainer.max_epochs=3", small=False))
    assert config["model"]["hidden_size"] == 64
    assert config["trainer"]["max_epochs"] == 3
    assert config["data"]["batch_size"] == 8
