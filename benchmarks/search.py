"""Random search and TPE on a small problem, beside each other, without and with pruning.

    python -m benchmarks.search TEXT

Each trains 40 trials on a text with each of three seeds; some minutes on one thread. The table
of docs/search.md is what it prints. Studies that are there already are not trained again.
"""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

RESOURCE = "hydra.sweeper.pruner.min_resource=2"
# the third draws what the first does, the fourth what it learns from trials that end early
KINDS = {
    "random": ("sweep=random",),
    "tpe": ("sweep=tpe",),
    "random-pruned": (
        "sweep=random",
        "hydra.sweeper.pruner._target_=optuna.pruners.SuccessiveHalvingPruner",
        *(f"+{RESOURCE}", "+hydra.sweeper.pruner.reduction_factor=3"),
    ),
    "halving": ("sweep=halving", RESOURCE),
}
SEEDS = (1, 2, 3)
TRIALS, STEPS = 40, 80
FOLDER = Path("outputs") / "search"
SPACE = (
    "optimizer.lr=tag(log,interval(1e-4,1))",
    "model.dropout=interval(0,0.6)",
    "model.embedding_size=tag(log,int(interval(4,64)))",
    "trainer.gradient_clip_val=tag(log,interval(0.01,10))",
)
FIXED = (
    *("trainer=cpu", "trainer.threads=1", "trainer.precision=32-true", "optimizer=adam"),
    *("model.hidden_size=24", "data.batch_size=16", f"trainer.max_steps={STEPS}"),
    *("checkpoint_every=8", "print_every=40", "callbacks.samples.length=0", "logger=csv"),
    f"hydra.sweeper.n_trials={TRIALS}",
)


class Study(NamedTuple):
    """How a study ended: its best loss, in nats per character, and the steps of all its trials."""

    loss: float
    steps: int


def run(kind: str, seed: int, text: Path) -> Study:
    """Search once."""
    folder = FOLDER / f"{kind}-{seed}"
    words = ["train", "-m", *KINDS[kind], f"data.input_txt={text}", *FIXED, *SPACE]
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
    found: dict[str, list[Study]] = {kind: [] for kind in KINDS}
    for seed in SEEDS:
        for kind in KINDS:
            found[kind].append(run(kind, seed, text))
    print(f"| | best loss, seeds {', '.join(map(str, SEEDS))} | mean | steps, mean |")
    print("|---|---|---:|---:|")
    for kind, studies in found.items():
        losses = [study.loss for study in studies]
        steps = statistics.mean(study.steps for study in studies)
        shown = ", ".join(f"{loss:.4f}" for loss in losses)
        print(f"| {kind} | {shown} | {statistics.mean(losses):.4f} | {steps:,.0f} |")


if __name__ == "__main__":
    main()
