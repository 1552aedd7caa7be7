"""Test the choices for a length of text and for a time: with given speeds, and by a command."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from omegaconf import DictConfig, OmegaConf

from charrnn.__main__ import main
from charrnn.data import fit_sizes
from charrnn.options.training import parse_duration
from charrnn.runs import decisions
from charrnn.runs.ranks import World
from tests.small_runs import Train, read_record, tensors, train_config

LENGTHS = (20, 5_000, 80_000, 900_000, 5_000_000, 90_000_000)
TIMES = ("3s", "30s", "90s", "10m", "1h", "30h")


def cpu(config: DictConfig) -> float:
    """Return the characters per second of a machine that multiplies."""
    return float(4e9 / config.model.hidden_size**2)


def chosen(characters: int, time: str | None = None, **given: Any) -> DictConfig:
    config = train_config(budget=time, trainer__accelerator="cpu", **given)
    size = decisions.TextSize(characters, characters // 8)
    return decisions.decide_sizes(config, size, World(), cpu)


def step_size(config: DictConfig, characters: int) -> int:
    streams, length = fit_sizes(characters, config.data.batch_size, config.data.seq_length)
    return streams * length


@pytest.mark.parametrize("characters", LENGTHS[:-2])  # longer ones take longer to validate
def test_a_budget_ends_in_time(characters: int) -> None:
    for time in TIMES:
        found = chosen(characters, time)
        steps = found.trainer.max_steps
        trained = steps * step_size(found, characters)
        scored = steps // found.validate_every * characters / 8
        if steps > 1:
            seconds = (trained + decisions.SCORING_COST * scored) / cpu(found)
            assert seconds <= decisions.TRAINING_SHARE * parse_duration(time)


@pytest.mark.parametrize("characters", LENGTHS)
def test_more_time_is_never_for_less_and_has_a_limit(characters: int) -> None:
    found = [chosen(characters, time) for time in TIMES]
    full = chosen(characters, model__hidden_size=found[-1].model.hidden_size)
    longest = decisions.MOST_SHARE * full.trainer.max_steps
    assert found[-1].trainer.max_steps <= max(1, longest)
    sizes = [each.model.hidden_size for each in found]
    assert sizes == sorted(sizes)
    same = [chosen(characters, time, model__hidden_size=64).trainer.max_steps for time in TIMES]
    assert same == sorted(same)


@pytest.mark.parametrize("characters", LENGTHS)
def test_a_text_has_a_usual_network_and_validations_that_cost_little(characters: int) -> None:
    found = chosen(characters)
    assert found.data.batch_size in (8, 16, 32)
    assert found.model.hidden_size in (64, 128, 256)
    steps, every = found.trainer.max_steps, found.checkpoint_every
    trained = steps * step_size(found, characters)
    count = max(1, steps // every)
    assert count == 1 or count * characters / 8 * decisions.SCORING_COST <= 0.2 * trained
    assert count <= 15


# a machine like any other, so that the same is chosen everywhere
TEXT = ("trainer=cpu", "threads=1", "trainer.precision=32-true", "data.input_txt=corpus.txt",
        "logger=csv", "callbacks.samples.length=0")  # fmt: skip


def test_a_resume_goes_by_the_record_and_what_is_given_stays(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Mock(return_value=6000.0)  # characters a second
    monkeypatch.setattr(decisions, "measure_speed", measure)
    given = {
        "model.kind": "gru", "model.dropout": 0.1, "optimizer.lr": 1e-3, "data.batch_size": 5,
        "data.seq_length": 10, "validate_every": 3, "model.hidden_size": 16,
    }  # fmt: skip
    words = ["budget=1s", *TEXT, "model=gru", "model.embedding_size=8", "optimizer=adam"]
    words += [f"{name}={value}" for name, value in given.items()]
    run = train(*words, small=False)
    before = read_record(run)
    assert tensors(run)["step"] == before["trainer"]["max_steps"]
    assert {name: OmegaConf.select(OmegaConf.create(before), name) for name in given} == given
    assert {call.args[0].model.hidden_size for call in measure.call_args_list} == {16}
    measure.reset_mock()
    # a job that is started again
    assert read_record(train(*words, "resume=auto", "hydra.run.dir=run", small=False)) == before
    more = before["trainer"]["max_steps"] + 3
    assert main(["train", f"resume={run}", f"trainer.max_steps={more}"]) == 0
    measure.assert_not_called()
    before["trainer"]["max_steps"] = more
    assert read_record(run) == before
