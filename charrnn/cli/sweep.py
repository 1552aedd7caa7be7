"""Run the jobs of a sweep (``-m``) by Hydra's sweeper and launcher.

All jobs are checked before the first job starts. A job that fails later prints its error at once
and does not stop the other jobs.
"""

from __future__ import annotations

import itertools
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.types import RunMode
from omegaconf import open_dict, read_write

from charrnn.cli import exit_codes, hydra_runs
from charrnn.cli.hydra_errors import translate_errors
from charrnn.cli.overrides import (
    MULTIRUN,
    CommandLine,
    find_word,
    get_key,
    quote,
    read_text,
    read_texts,
    set_text,
)
from charrnn.errors import InputError, RunError, shorten, to_one_line
from charrnn.files import shorten_path
from charrnn.runs.folder import prepare_sweep
from charrnn.say import say


def run(line: CommandLine, typed: Sequence[str]) -> None:
    """Check every job, and run the jobs by Hydra. Raise RunError if a job failed.

    Args:
        typed: the words of the command line, with which the sweep can be repeated.
    """
    hydra_runs.enable_garbage_collector()
    folder, naming, num_jobs = _check_jobs(line)
    words = [*line.words, naming, *([] if MULTIRUN in line.words else [MULTIRUN])]
    if not line.command.get("MAKES_FOLDER"):
        # Hydra writes files even for jobs without a folder.
        with tempfile.TemporaryDirectory(prefix="charrnn-") as temporary:
            _run_jobs(line._replace(words=words), Path(temporary), num_jobs)
        return
    texts = read_texts(find_word(line.words, line.command.get("FIRST_WORD")) or "")
    if num_jobs and len(texts) > 1:
        each = num_jobs // len(texts)
        say(f"{num_jobs} trainings, {'one' if each == 1 else each} for each text")
    prepare_sweep(folder)
    is_complete = False
    try:
        _run_jobs(line._replace(words=words), folder, num_jobs)
        is_complete = True
    finally:
        _report(folder, typed, is_complete)


def _run_jobs(line: CommandLine, folder: Path, num_jobs: int | None) -> None:
    line = line._replace(words=set_text(line.words, "hydra.sweep.dir", str(folder)))
    raised: Exception | None = None
    failures: dict[str, Exception] = {}
    try:
        hydra_runs.run_main(line, folder, failures, num_jobs)
    except Exception as error:  # the error of the first job that failed
        raised = error
    for name, failure in failures.items():
        say(f"failed: {name}: {exit_codes.format_error(failure)}")
    if failures:
        of = f" of {num_jobs}" if num_jobs else ""
        raise RunError(f"{len(failures)}{of} jobs failed") from raised
    if raised is not None:
        is_input_error = isinstance(raised, InputError)
        # A sweeper that chooses the jobs raises InputError itself; the jobs' errors do not end it.
        if isinstance(raised, RunError) or (is_input_error and num_jobs is None):
            raise raised
        # A job in another process failed.
        reason = to_one_line(raised, 500, with_type=not is_input_error)
        raise RunError(f"a job failed: {reason}") from raised


def _report(folder: Path, typed: Sequence[str], is_complete: bool) -> None:
    from charrnn.runs import leaderboard

    kept = [word for word in typed if get_key(word) not in ("hydra.sweep.dir", "resume")]
    words = [*kept, f"hydra.sweep.dir={shorten_path(folder)}", "resume=auto"]
    leaderboard.report_sweep(folder, "" if is_complete else f"charrnn train {shlex.join(words)}")


def _check_jobs(line: CommandLine) -> tuple[Path, str, int | None]:
    """Check every job; if the sweeper chooses the jobs, check one.

    Returns:
        The sweep's folder; an override that excludes equal options from the names of jobs; the
        number of jobs, or None if the sweeper chooses it.
    """
    with hydra_runs.initialize(line):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides([word for word in line.words if word != MULTIRUN])
        first = [_list_words(override)[0] for override in parsed]
        config = hydra_runs.compose(line._replace(words=first))
        params = config.hydra.sweeper.get("params") or {}
        parsed = [*parser.parse_overrides([f"{n}={v}" for n, v in params.items()]), *parsed]
        overrides = [*{override.get_key_element(): override for override in parsed}.values()]
        is_swept = [override.is_sweep_override() for override in overrides]
        is_grid = config.hydra.sweeper._target_.endswith(".BasicSweeper")
        grid = itertools.product(*map(_list_words, overrides))
        jobs = list(itertools.islice(grid, None if is_grid else 1))
        naming = _name_by_differences(overrides)
        for number, job in enumerate(jobs):
            try:
                with translate_errors(line):
                    _check_job(line._replace(words=[*job, naming]), number)
            except InputError as error:
                swept = " ".join(itertools.compress(job, is_swept))
                name = f"job {number} ({swept}): " if len(jobs) > 1 else ""
                raise InputError(f"{shorten(name)}{error}") from error
        folder = hydra_runs.get_folder(config, "hydra.sweep.dir")
    resumes = read_text(line.words, "resume") is not None
    if line.command.get("MAKES_FOLDER") and not resumes and any(folder.glob("*/.hydra")):
        raise InputError(
            f"hydra.sweep.dir={shorten_path(folder)}: contains runs; to resume them, repeat their "
            f"command with resume=auto, or name another folder"
        )
    return folder, naming, len(jobs) if is_grid else None


def _name_by_differences(overrides: Sequence[Override]) -> str:
    """Return an override that leaves equal options out of the names of the jobs."""
    equal = [o.key_or_group for o in overrides if not o.is_sweep_override()]
    names = ",".join(map(quote, dict.fromkeys([*equal, "resume", "trust"])))
    return f"hydra.job.config.override_dirname.exclude_keys=[{names}]"


def _check_job(line: CommandLine, number: int) -> None:
    """Check the options of a job, and whether it can resume the run in its folder."""
    config = hydra_runs.compose(line)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.num, config.hydra.mode = number, RunMode.MULTIRUN
    folder = hydra_runs.get_folder(config, "hydra.sweep.dir", "hydra.sweep.subdir")
    with read_write(config.hydra):
        config.hydra.runtime.output_dir = str(folder)
    job = hydra_runs.remove_hydra(config)
    with hydra_runs.set_hydra_config(config):
        options = hydra_runs.make_options(line.command, job)
        if check := line.command.get("check_in_sweep"):
            check(options, job)


def _list_words(override: Override) -> list[str]:
    """Return an override for each value of a sweep."""
    key = override.get_key_element()
    if isinstance(value := override.value(), IntervalSweep):
        return [f"{key}={value.start}"]
    if override.is_sweep_override():
        words = [f"{key}={text}" for text in override.sweep_string_iterator()]
        if not words:
            raise InputError(f"{override.input_line}: contains no value")
        return words
    return [str(override.input_line)]
