"""Where ``hydra.main`` is called, and which folder it works in."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from hydra import main
from omegaconf import DictConfig, OmegaConf

from charrnn.cli import surroundings
from charrnn.cli.job import Job
from charrnn.cli.line import Line
from charrnn.cli.literal import quoted
from charrnn.errors import InputError, shown
from charrnn.files import make_new_folder
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


def settled(config: DictConfig, mode: str, folder: Path) -> tuple[Path, list[str]]:
    """Settle a folder that is called after the time, before Hydra composes once more.

    It is made here, so that of runs and sweeps that begin in the same microsecond each has its
    own.

    Args:
        config: composed, not resolved.
        mode: run or sweep.
        folder: as it was composed.

    Returns:
        The folder, and the words that make it Hydra's.
    """
    written = str(OmegaConf.to_container(config.hydra[mode])["dir"])  # type: ignore[index, call-overload]
    if "${now:" not in written:
        return folder, []
    made = make_new_folder(folder)
    named = str(made) if os.path.isabs(written) else os.path.relpath(made)
    return made, [f"hydra.{mode}.dir={quoted(named)}"]
