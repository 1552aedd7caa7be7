"""A script builds with `charrnn.build` what the command trains."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import charrnn
from charrnn.errors import InputError
from charrnn.models import model_file
from tests.small_runs import SMALL

WORDS = (*SMALL, "logger=csv", "trainer.max_steps=4", "data.batch_size=4")


def test_a_script_trains_what_the_command_does(workplace: Path) -> None:
    """In a thread of its own, too: Python lets the main thread alone set handlers of signals."""
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(charrnn.train, *WORDS, "hydra.run.dir=command").result()
    assert result is not None
    assert (result.folder, result.step) == (workplace / "command", 4)
    data, module, trainer = charrnn.build(*WORDS, "hydra.run.dir=script")
    assert len(data.vocabulary) == module.network.architecture.vocabulary_size
    trainer.fit(module, data)
    by_command, by_script = (
        model_file.load(workplace / name / "model.safetensors") for name in ("command", "script")
    )
    assert result.best_loss == by_command.facts["val_loss"] == by_script.facts["val_loss"]
    assert by_command.weights.keys() == by_script.weights.keys()
    for name, weights in by_command.weights.items():
        assert torch.equal(torch.tensor(weights), torch.tensor(by_script.weights[name]))
    assert (workplace / "script" / "metrics.csv").is_file()
    with pytest.raises(InputError, match=r"charrnn\.train goes on with a run"):
        charrnn.build("resume=command", "trainer.max_steps=5")


def test_a_fit_that_fails_leaves_signals_alone(workplace: Path) -> None:
    data, module, trainer = charrnn.build(*WORDS, "hydra.run.dir=run")

    def fail() -> None:
        raise RuntimeError("no room")

    module.on_fit_start = fail
    with pytest.raises(RuntimeError, match="no room"):
        trainer.fit(module, data)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
