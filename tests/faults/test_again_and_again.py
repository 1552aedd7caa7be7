"""Runs that are killed and stopped again and again, in every phase, and lose nothing; minutes.

`make faults` runs them. A short form is in tests/training/test_faults.py.
"""

from __future__ import annotations

import collections
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from charrnn.networks.precision import can_train_in_bf16
from tests.conftest import write_corpus
from tests.faults.child import DEADLINE, POINTS, Fault, run, send
from tests.faults.runs import differences, go_on, start

FAULTS = 18  # of each case
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
ENDS = (-signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT)

# in float32 where the CPU has no bf16 kernel for an LSTM
BF16 = f"trainer.precision={'bf16-mixed' if can_train_in_bf16('lstm', 'cpu') else '32-true'}"
# epochs have 20 windows
SHUFFLED = "data.shuffle=true"
CASES = {
    "shuffled, saved every 10 steps": (SHUFFLED, "checkpoint_every=10", "validate_every=16"),
    "shuffled, in groups of windows": (
        SHUFFLED, "checkpoint_every=5", "validate_every=9",
        "+trainer.accumulate_grad_batches=2", "trainer.max_steps=30",
    ),
    "shuffled, by epochs": (
        SHUFFLED, "checkpoint_every=20", "validate_every=15",
        "trainer.max_steps=-1", "trainer.max_epochs=3",
    ),
    "gru, constant, bf16, norm clipping": (
        "model=gru", "schedule=constant", BF16,
        "trainer.gradient_clip_val=1", "trainer.gradient_clip_algorithm=norm",
    ),
    "early stopping": (
        "validate_every=4", "callbacks=early_stopping", "callbacks.early_stopping.patience=3",
        "callbacks.early_stopping.min_delta=0.05", "trainer.max_steps=200",
    ),
    "muon, shuffled, dropout": (
        "optimizer=muon", "schedule=linear", "schedule.warmup_steps=5", "data.shuffle=true",
        "model.dropout=0.3",
    ),
    "an average": ("callbacks=ema", "callbacks.ema.decay=0.9", "optimizer=adam"),
}  # fmt: skip


def faults(dice: random.Random) -> Iterator[Fault | None]:
    """Yield faults without end: every phase in turn, with signals and (None) kills from outside."""
    while True:
        for phase, names in POINTS.items():
            yield Fault(phase, dice.choice(names), dice.randint(1, 6))
            stop, point = partial(send, dice.choice(SIGNALS)), dice.choice(("forward", "update"))
            yield dice.choice((None, Fault("step", point, dice.randint(2, 24), stop)))


@pytest.mark.faults
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost(case: str, tmp_path: Path) -> None:
    """Runs are broken and resumed until they end, one after the other."""
    overrides, found = CASES[case], collections.Counter[str]()
    write_corpus(tmp_path)
    dice, began = random.Random(str(overrides)), time.monotonic()
    run(start("whole", *overrides), tmp_path)
    whole, where, number = time.monotonic() - began, faults(dice), 0
    while found.total() < FAULTS:
        number += 1
        name, code = f"broken-{number}", 1
        while code != 0:
            is_last = found.total() >= FAULTS
            fault = None if is_last else next(where)
            seconds = DEADLINE if fault or is_last else dice.uniform(0.05, whole)
            words = go_on(tmp_path, name, *overrides)
            code = run(words, tmp_path, *filter(None, [fault]), code=None, seconds=seconds)
            assert code in (0, *ENDS), (tmp_path / "log.txt").read_text()[-3000:]
            found[fault.phase if fault else "outside"] += code != 0
        assert differences(tmp_path / "whole", tmp_path / name) == [], found
