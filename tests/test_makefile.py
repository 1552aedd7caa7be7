"""What make runs where that takes more than a word."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests import REPOSITORY


def test_tensorboard_is_given_each_run_once(tmp_path: Path) -> None:
    for name in ("train/day/a", "train/day/b", "sweeps/day/c/0_seed=1"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
    (tmp_path / "outputs" / "latest").symlink_to("train/day/b")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (tmp_path / "pyproject.toml").touch()
    (bin_folder / "tensorboard").write_text('#!/bin/sh\necho "$@"\n')
    (bin_folder / "tensorboard").chmod(0o755)
    (bin_folder / ".ready").touch()
    words = ["make", "-s", "-f", str(REPOSITORY / "Makefile"), f"BIN={bin_folder}", "tensorboard"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "--logdir_spec=outputs/sweeps,outputs/train"


def test_a_python_that_hydra_does_not_run_on_is_passed_over(tmp_path: Path) -> None:
    for name, code in (("python3", 1), ("python3.13", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    words = ["make", "-n", "-f", str(REPOSITORY / "Makefile"), "setup"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=tmp_path, env=path, capture_output=True, text=True, check=True)
    assert "\npython3.13 -m venv .venv\n" in done.stdout
