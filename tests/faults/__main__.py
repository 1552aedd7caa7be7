"""`python -m tests.faults [WORD ...]`: all cases, or those with a word in their name; minutes.

Prints a line for each and exits with 1 if anything was lost.
"""

from __future__ import annotations

import collections
import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from charrnn.runs.hardware import trains_in_bf16
from tests.faults.child import Fault, send
from tests.faults.runs import (
    Broken,
    Failed,
    differences,
    go_on,
    points,
    run,
    start,
    write_corpus,
)

KILLS = 14  # of each case that is killed


@dataclass
class Row:
    """What was done, and what was lost by it."""

    name: str
    faults: collections.Counter[str] = field(default_factory=collections.Counter)
    resumes: int = 0
    lost: list[str] = field(default_factory=list)


# -- kills -----------------------------------------------------------------------------

# in float32 where the CPU has no bf16 kernel for an LSTM
BF16 = f"trainer.precision={'bf16-mixed' if trains_in_bf16('lstm', 'cpu') else '32-true'}"
# epochs have 20 windows
ON_ENDS = ("checkpoint_every=20", "validate_every=10", "print_every=5")
KILLED = {
    "lstm, step, saved on epoch ends": ("schedule.decay_every=1", *ON_ENDS),
    "lstm, cosine, bf16": ("schedule=cosine", BF16),
    "gru, constant, bf16, norm clipping": (
        "model=gru", "schedule=constant", BF16,
        "trainer.gradient_clip_val=1", "trainer.gradient_clip_algorithm=norm",
    ),
    "rnn, step, adamw, bf16": ("model=rnn", "schedule.decay_every=1", "optimizer=adamw", BF16),
    "best before the first last": ("checkpoint_every=40", "validate_every=6"),
    "every 9th kept, batchnorm": ("callbacks.checkpoints.keep_every=9", "model.batchnorm=true"),
    "no validation": ("validate_every=0",),
    "early stopping": (
        "validate_every=4", "callbacks=early_stopping", "callbacks.early_stopping.patience=3",
        "callbacks.early_stopping.min_delta=0.05", "trainer.max_steps=200",
    ),
    "muon, shuffled, dropout": (
        "optimizer=muon", "schedule=linear", "schedule.warmup_steps=5", "data.shuffle=true",
        "model.dropout=0.3",
    ),
    "an average": ("callbacks=ema", "callbacks.ema.decay=0.9", "optimizer=adam"),
    "accumulate_grad_batches=2": ("+trainer.accumulate_grad_batches=2", "trainer.max_steps=30"),
}  # fmt: skip


def killed(folder: Path, name: str) -> Row:
    """A run killed in every phase, and at random moments from outside."""
    overrides = KILLED[name]
    generator = random.Random(name)
    row = Row(name)
    run(start("whole", *overrides), folder)
    where = points(generator)
    number = 0
    while sum(row.faults.values()) < KILLS:
        number += 1
        broken = Broken(folder, f"broken-{number}", overrides, generator.random())
        while sum(row.faults.values()) + broken.kills.total() < KILLS:
            from_outside = generator.random() < 0.25
            killed = broken.kill_sometime() if from_outside else broken.kill_at(*next(where))
            if not killed:
                break  # it came to its end
        broken.finish()
        row.faults += broken.kills
        row.resumes += broken.resumes
        row.lost += differences(folder / "whole", folder / broken.name)
    return row


# a text of 20 windows an epoch; what is saved, validated and counted meets epochs' ends variously
CHAINED = (
    ("checkpoint_every=10", "validate_every=16"),
    ("checkpoint_every=1", "validate_every=7"),
    ("checkpoint_every=5", "validate_every=9", "+trainer.accumulate_grad_batches=2",
     "trainer.max_steps=30"),
    ("checkpoint_every=20", "validate_every=15", "trainer.max_steps=null", "trainer.max_epochs=3"),
)  # fmt: skip
CHAINS = 3  # of each
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


def chains(folder: Path, options: tuple[str, ...]) -> Row:
    """Killed, or stopped by a signal, after steps drawn at random, up to six times in a row."""
    row = Row(f"random chains of up to 6 cuts, shuffled: {' '.join(options)}")
    generator = random.Random(str(options))
    overrides = ("data.shuffle=true", "trainer.max_steps=66", *options)
    run(start("whole", *overrides), folder)
    for number in range(CHAINS):
        name = f"chain-{number}"
        for _ in range(generator.randint(2, 6)):
            signum = generator.choice(SIGNALS)
            point, steps = generator.choice(("forward", "update")), generator.randint(2, 24)
            fault = Fault("step", point, steps, partial(send, signum))
            code = run(go_on(folder, name, *overrides), folder, fault, code=None)
            if code == 0:
                break  # it came to its end
            if code not in (-signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT):
                raise Failed(f"{name}: ended with {code}")
            row.faults["step"] += 1
            row.resumes += 1
        run(go_on(folder, name, *overrides), folder)
        row.lost += differences(folder / "whole", folder / name)
    return row


CASES: dict[str, Callable[[Path], Row]] = {
    **{name: partial(killed, name=name) for name in KILLED},
    **{f"chains {number}": partial(chains, options=options)
       for number, options in enumerate(CHAINED)},
}  # fmt: skip


def main() -> int:
    # TensorBoard remarks on every record that a resume replaces
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    began = time.monotonic()
    rows: list[Row] = []
    chosen = sys.argv[1:]
    for name, case in CASES.items():
        if chosen and not any(word in name for word in chosen):
            continue
        with tempfile.TemporaryDirectory(prefix="charrnn-faults-") as place:
            folder = Path(place)
            write_corpus(folder)
            try:
                row = case(folder)
            except Failed as failure:
                print(failure, file=sys.stderr)
                row = Row(name, lost=["the run"])
        rows.append(row)
        lost = "; ".join(row.lost) or "nothing"
        print(f"{row.name}: {dict(row.faults)}, {row.resumes} resumes; lost: {lost}", flush=True)
    faults, resumes = sum(row.faults.total() for row in rows), sum(row.resumes for row in rows)
    print(f"{faults} faults and {resumes} resumes in {time.monotonic() - began:.0f} seconds")
    return int(any(row.lost for row in rows))


if __name__ == "__main__":
    sys.exit(main())
