"""`budget=` through the command line: what is chosen is recorded, and a resume keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from charrnn.__main__ import main
from charrnn.runs import decisions
from tests.small_runs import Capture, Train, read_record, tensors

# a machine like any other, so that the same is chosen everywhere
CPU = ("trainer=cpu", "threads=1", "trainer.precision=32-true")
TEXT = (*CPU, "data.input_txt=corpus.txt", "logger=csv", "callbacks.samples.length=0")
SMALL = ("model.hidden_size=16", "model.embedding_size=8")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Simulate a machine that trains 6,000 characters a second. Record the measurements."""
    tried: list[Any] = []

    def measure(options: Any, *args: Any, **named: Any) -> float:
        tried.append(options)
        return 6000.0

    monkeypatch.setattr(decisions, "measure_speed", measure)
    return tried


def test_a_budget_is_kept(train: Train, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions.time, "process_time", iter([0.0, 0.0, 1.0, 2.0] * 9).__next__)
    run = train("budget=3s", *TEXT, small=False)
    lines = capfd.readouterr().err.splitlines()
    busy = "other programs use the processor; measuring the speed again"
    assert sum(busy in line for line in lines) == 1
    config = read_record(run)
    model, trainer = config["model"], config["trainer"]
    (what,) = (line for line in lines if line.startswith("budget=3s, about "))
    assert f": {model['hidden_size']} units, dropout {model['dropout']:g}, " in what
    assert f" {trainer['max_steps']:,} steps of {config['data']['batch_size']} x 64 " in what
    assert config["budget"] == "3s"
    assert config["optimizer"]["_target_"] == "charrnn.training.Muon"
    assert config["schedule"]["_target_"] == "charrnn.training.schedules.linear"
    assert (trainer["max_epochs"], trainer["gradient_clip_algorithm"]) == (None, "norm")
    assert tensors(run)["step"] == trainer["max_steps"]


def test_a_resume_goes_by_the_record_and_what_is_given_stays(train: Train, slow: list[Any]) -> None:
    given = {
        "model.kind": "gru", "model.dropout": 0.1, "optimizer.lr": 1e-3, "data.batch_size": 5,
        "data.seq_length": 10, "validate_every": 3, "model.hidden_size": 16,
    }  # fmt: skip
    words = ("budget=1s", *TEXT, *SMALL, "model=gru", "optimizer=adam",
             *(f"{name}={value}" for name, value in given.items()))  # fmt: skip
    run = train(*words, small=False)
    before = read_record(run)
    assert {name: OmegaConf.select(OmegaConf.create(before), name) for name in given} == given
    assert {each.model.hidden_size for each in slow} == {16}
    slow.clear()
    # a job that is started again
    assert read_record(train(*words, "resume=auto", "hydra.run.dir=run", small=False)) == before
    more = before["trainer"]["max_steps"] + 3
    assert main(["train", f"resume={run}", f"trainer.max_steps={more}"]) == 0
    assert not slow
    before["trainer"]["max_steps"] = more
    assert read_record(run) == before
