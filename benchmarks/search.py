"""Random search, TPE and TPE with pruning on a small problem, beside each other.

    python -m benchmarks.search TEXT

Each trains 30 trials on a text with each of three seeds; some minutes on one thread. The table
of docs/sweeps.md is what it prints. Studies that are there already are not trained again.
"""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

KINDS = ("random", "tpe", "halving")
SEEDS = (1, 2, 3)
TRIALS, STEPS = 30, 160
FOLDER = Path("outputs") / "search"
SPACE = (
    "optimizer.lr=tag(log,interval(1e-4,1))",
    "model.dropout=interval(0,0.6)",
    "model.embedding_size=tag(log,int(interval(8,128)))",
    "trainer.gradient_clip_val=tag(log,interval(0.01,10))",
    "schedule.warmup_steps=int(interval(0,100))",
)
FIXED = (
    *("trainer=cpu", "trainer.threads=1", "trainer.precision=32-true", "optimizer=adam"),
    *("model.hidden_size=32", f"trainer.max_steps={STEPS}", "checkpoint_every=10"),
    *("print_every=40", "callbacks.samples.length=0", "logger=csv"),
    *(f"hydra.sweeper.n_trials={TRIALS}", "hydra.sweeper.pruner.min_resource=2"),
)


class Study(NamedTuple):
    """How a study ended: its best loss, in nats per character, and the steps of all its trials."""

    loss: float
    steps: int


def run(kind: str, seed: int, text: Path) -> Study:
    """Search once."""
    folder = FOLDER / f"{kind}-{seed}"
    fixed = [word for word in FIXED if kind == "halving" or "min_resource" not in word]
    words = ["train", "-m", f"sweep={kind}", f"data.input_txt={text}", *fixed, *SPACE]
    words += [f"hydra.sweep.dir={folder}", f"hydra.sweeper.seed={1000 * seed}"]
    if not (folder / "leaderboard.csv").exists():
        print(" ".join(words), file=sys.stderr)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "charrnn", *words]
        # trials that diverge are a part of a search: the code is 1 then
        subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)
    with open(folder / "leaderboard.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Study(float(rows[0]["val/loss"]), sum(int(row["steps"]) for row in rows))


def main() -> None:
    text = Path(sys.argv[1])
    found = {kind: [run(kind, seed, text) for seed in SEEDS] for kind in KINDS}
    print(f"| | best loss, seeds {', '.join(map(str, SEEDS))} | mean | steps, mean |")
    print("|---|---|---:|---:|")
    for kind, studies in found.items():
        losses = [study.loss for study in studies]
        steps = statistics.mean(study.steps for study in studies)
        shown = ", ".join(f"{loss:.4f}" for loss in losses)
        print(f"| `sweep={kind}` | {shown} | {statistics.mean(losses):.4f} | {steps:,.0f} |")


if __name__ == "__main__":
    main()
