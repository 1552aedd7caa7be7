"""`charrnn tensorboard`, started as a user does and asked as its page does."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from charrnn.__main__ import main
from tests.small_runs import SMALL, Train

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
HPARAMS = "experiment/defaultExperimentId/data/plugin/hparams"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "charrnn", "tensorboard", *words]


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Its address."""
    words = command(f"folder={folder}", "port=0")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        try:
            lines = iter(process.stderr.readline, "")
            yield next(
                found[0] for line in lines if (found := re.search(r"http://127.[^\s#]+", line))
            )
        finally:
            process.terminate()
            process.stderr.read()


def asked(address: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(address: str, holds: Any, body: dict[str, Any] | None = None) -> Any:
    """What is answered once it is right: TensorBoard reads its files in its own time."""
    end = time.monotonic() + 60
    while not holds(answer := asked(address, body)):
        assert time.monotonic() < end, answer
        time.sleep(0.3)
    return answer


def test_a_sweep_each_run_once_and_by_what_differs(train: Train, workplace: Path) -> None:
    sweep = ["train", "-m", *SMALL, "hydra.sweep.dir=outputs/sweep", "trainer.max_steps=14"]
    assert main([*sweep, "model.hidden_size=8,16", "optimizer.lr=1e-3,2e-3"]) == 0
    assert (workplace / "outputs" / "latest").is_symlink()
    names = [f"hidden_size={size} lr={lr}" for size in (8, 16) for lr in ("0.001", "0.002")]
    with tensorboard(Path("outputs")) as address:
        assert until(address + "data/runs", lambda runs: len(runs) > 3) == names
        experiment = until(
            f"{address}{HPARAMS}/experiment",
            lambda found: len(found.get("hparamInfos", [])) > 2,
            {"experimentName": "", "hparamsLimit": 0},
        )
        infos = experiment["hparamInfos"]
        assert [info["name"] for info in infos if info["differs"]] == [
            "model.hidden_size",
            "optimizer.lr",
        ]
        # which of them is shown first
        assert [info["differs"] for info in infos[:3]] == [True, True, False]
        metrics = [info["name"]["tag"] for info in experiment["metricInfos"]]
        assert metrics[0] == "best/val_loss"
        layout = asked(address + "data/plugin/custom_scalars/layout")
        [chart] = layout["category"][0]["chart"]
        assert chart["multiline"]["tag"] == ["train/loss", "val/loss"]
        # a run that begins while it is looked at
        train("model.hidden_size=4", "trainer.max_steps=7", folder="outputs/later")
        later = until(address + "data/runs", lambda runs: len(runs) > 4)
        assert set(later) - set(names) == {"hidden_size=4 max_steps=7"}


def test_without_validation_a_run_is_among_them(train: Train) -> None:
    train("trainer.max_steps=7", "validate_every=0", "seed=1", folder="runs/0")
    train("trainer.max_steps=7", "seed=2", folder="runs/1")
    with tensorboard(Path("runs")) as address:
        found = until(
            f"{address}{HPARAMS}/experiment",
            lambda found: len(found.get("hparamInfos", [])) > 2,
            {"experimentName": "", "hparamsLimit": 0},
        )
        seed = next(info for info in found["hparamInfos"] if info["name"] == "seed")
        assert seed["domainInterval"] == {"minValue": 1, "maxValue": 2}


def test_what_cannot_be_shown(workplace: Path) -> None:
    done = subprocess.run(command("folder=none"), capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (
        2,
        "charrnn tensorboard: folder=none: no such folder; runs go to outputs/\n",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = command("folder=.", f"port={port}")
        done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"charrnn tensorboard: host=127.0.0.1 port={port}: ")
    assert "Traceback" not in done.stderr
