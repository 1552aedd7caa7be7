"""Where ``hydra.main`` is called, and which folder it is to make."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from hydra import main

from charrnn.cli import surroundings
from charrnn.cli.job import Job
from charrnn.cli.line import Line
from charrnn.errors import InputError, shown
from charrnn.text.checks import require_path


def run(line: Line, job: Job, words: list[str]) -> None:
    """Let hydra.main do what these words say; it raises what the job raises."""
    task = main(version_base="1.3", config_path=line.config_path, config_name=line.config_name)(job)
    with warnings.catch_warnings(), surroundings.inside(words):
        warnings.filterwarnings("ignore", module=r"hydra\.")
        task()


def folder_of(option: str, value: str) -> Path:
    """The folder that Hydra is to make, absolute."""
    if value == "":
        raise InputError(f"{option}=: takes a folder")
    require_path(option, value)
    folder = os.path.abspath(value)
    if "${" in folder:
        # Hydra writes the path back into its config, and would interpolate it there
        raise InputError(
            f"{option}={shown(value)}: Hydra cannot make a folder with ${{ in its path; for "
            f"Hydra's own ${{...}} put the value in quotes: {option}=\"'...'\""
        )
    return Path(folder)
