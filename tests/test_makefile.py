"""What make runs where that takes more than a word."""

from __future__ import annotations

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
