"""Whole runs, runs that are broken and resumed, and what tells the one from the other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.runs.result import read_result
from tests.small_runs import SMALL, assert_same, metrics

# 50 steps of 20 windows an epoch, and dropout, so that random numbers count
OPTIONS = (*SMALL, "trainer.max_steps=50", "model.dropout=0.25", "print_every=3")
SPEED = "characters_per_second"
# The states of the log and of the result have the words of the first start, and the time.
OTHER_STATES = ("TrainingLog", "ResultFile")
COMPARED = ("text", "fingerprint", "network", "parameters", "steps", "characters", "step",
            "network_loss", "loss", "counts_loss", "compared_loss", "objective")  # fmt: skip


def start(name: str, *overrides: str) -> list[str]:
    return ["train", *OPTIONS, f"hydra.run.dir={name}", *overrides]


def go_on(folder: Path, name: str, *overrides: str) -> list[str]:
    """Return the command line after a kill: a resume, or the first start again in its place."""
    if not any((folder / name / "checkpoints").glob("*.ckpt")):
        shutil.rmtree(folder / name, ignore_errors=True)
        return start(name, *overrides)
    return ["train", f"resume={name}", *(o for o in overrides if o.startswith("trainer.max"))]


def differences(whole: Path, broken: Path) -> list[str]:
    """Describe what a broken run lost, by name; nothing if all is well."""
    one, other = _outcome(whole), _outcome(broken)
    lost = []
    for name in one:
        try:
            assert_same(one[name], other[name])
        except AssertionError:
            lost.append(name)
    lost += [f"left behind: {path}" for path in sorted(broken.rglob("*.part"))]
    return lost


def _outcome(folder: Path) -> dict[str, Any]:
    last = checkpoint.read(folder / "checkpoints" / "last.ckpt")
    best = checkpoint.read(folder / "checkpoints" / "best.ckpt")
    return {
        "weights": last["state_dict"],
        "optimizer": last["optimizer_states"],
        "carried state and random numbers": last[ENTRY]["ranks"],
        "schedule": last["lr_schedulers"],
        "callbacks": {n: v for n, v in last["callbacks"].items() if n not in OTHER_STATES},
        "result.json": {name: getattr(read_result(folder), name) for name in COMPARED},
        "best so far": (last[ENTRY]["best_loss"], last[ENTRY]["best_step"]),
        "step": last["global_step"],
        "best.ckpt": (best["state_dict"], best["optimizer_states"], best[ENTRY]["ranks"]),
        "model file": (folder / "model.safetensors").read_bytes(),
        "metrics.csv": metrics(folder),
        "TensorBoard": _curves(folder),
        "samples": {p.name: p.read_bytes() for p in (folder / "samples").glob("*")},
    }


def _curves(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Read the event files with TensorBoard, to which everything in them is a tensor.

    It leaves out what a later start takes back (`purge_step`). Of a step's epoch both the loss and
    the validation tell, with the same value.
    """
    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    accumulator = EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    points = {
        tag: [(e.step, e.tensor_proto.SerializeToString()) for e in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
        # each start reports its values
        if not tag.startswith(("_hparams_", "hparams/", "config", SPEED))
    }
    return {tag: list(dict.fromkeys(p)) if tag == "epoch" else p for tag, p in points.items()}
