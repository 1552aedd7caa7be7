"""Run the jobs of a sweep (``-m``) by Hydra's sweeper and launcher.

All jobs are checked before the first job starts. A job that fails later prints its error at once
and does not stop the other jobs.
"""

from __future__ import annotations

import itertools
import shlex
import tempfile
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from hydra.core.override_parser.types import Override as ParsedOverride
from omegaconf import open_dict, read_write

from charrnn.cli import front
from charrnn.cli.command_line import Line, quote
from charrnn.errors import InputError, RunError, shorten, to_one_line
from charrnn.files import shorten_path
from charrnn.runs.folder import prepare_sweep
from charrnn.say import say


def run(line: Line) -> None:
    """Check every job, and run the jobs by Hydra. Raise RunError if a job failed."""
    folder, naming, num_jobs = _check_jobs(line)
    task = front.Task(line, folder, num_jobs)
    if not line.command.get("MAKES_FOLDER"):
        # Hydra writes files even for jobs without a folder.
        with tempfile.TemporaryDirectory(prefix="charrnn-") as temporary:
            _run_jobs(line, task, Path(temporary), naming)
        return
    prepare_sweep(folder)
    is_complete = False
    try:
        _run_jobs(line, task, folder, naming)
        is_complete = True
    finally:
        _report(line, folder, is_complete)


def _run_jobs(line: Line, task: front.Task, folder: Path, naming: str) -> None:
    raised: Exception | None = None
    try:
        front.run_hydra_main(line.with_text("hydra.sweep.dir", str(folder)), task, naming)
    except Exception as error:  # the error of the first job that failed
        raised = error
    for failure in task.failures:
        say(f"failed: {failure}")
    if task.failures:
        of = f" of {task.num_jobs}" if task.num_jobs else ""
        raise RunError(f"{len(task.failures)}{of} jobs failed") from raised
    if raised is not None:
        is_input_error = isinstance(raised, InputError)
        # A sweeper that chooses the jobs raises InputError itself; the jobs' errors do not end it.
        if isinstance(raised, RunError) or (is_input_error and task.num_jobs is None):
            raise raised
        # A job in another process failed.
        reason = to_one_line(raised, 500, with_type=not is_input_error)
        raise RunError(f"a job failed: {reason}") from raised


def _report(line: Line, folder: Path, is_complete: bool) -> None:
    from charrnn.runs import leaderboard

    line = line.with_text("hydra.sweep.dir", shorten_path(folder)).with_text("resume", "auto")
    words = [*line.to_hydra_flags(), *(override.typed for override in line.overrides)]
    leaderboard.report_sweep(folder, "" if is_complete else f"charrnn train {shlex.join(words)}")


def _check_jobs(line: Line) -> tuple[Path, str, int | None]:
    """Check every job; if the sweeper chooses the jobs, check one.

    Returns:
        The sweep's folder; an override that excludes equal options from the names of jobs; the
        number of jobs, or None if the sweeper chooses it.
    """
    with front.translate_errors(line), front.initialize_hydra(line):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides(line.words)
        config = front.compose(line.as_job([_list_words(override)[0] for override in parsed]))
        params = config.hydra.sweeper.get("params") or {}
        parsed = [*parser.parse_overrides([f"{n}={v}" for n, v in params.items()]), *parsed]
        overrides = {override.get_key_element(): override for override in parsed}.values()
        is_swept = [override.is_sweep_override() for override in overrides]
        is_grid = config.hydra.sweeper._target_.endswith(".BasicSweeper")
        grid = itertools.product(*map(_list_words, overrides))
        jobs = list(itertools.islice(grid, None if is_grid else 1))
        for number, words in enumerate(jobs):
            try:
                _check_job(line.as_job(words), number)
            except InputError as error:
                swept = " ".join(itertools.compress(words, is_swept))
                job = f"job {number} ({swept}): " if len(jobs) > 1 else ""
                raise InputError(f"{shorten(job)}{error}") from error
        folder = front.get_folder(config, "hydra.sweep.dir")
    resumes = line.find_last("resume").text is not None
    if line.command.get("MAKES_FOLDER") and not resumes and any(folder.glob("*/.hydra")):
        raise InputError(
            f"hydra.sweep.dir={shorten_path(folder)}: contains runs; to resume them, repeat their "
            f"command with resume=auto, or name another folder"
        )
    equal = [o.key_or_group for o in overrides if not o.is_sweep_override()]
    names = ",".join(map(quote, dict.fromkeys([*equal, "resume", "trust"])))
    naming = f"hydra.job.config.override_dirname.exclude_keys=[{names}]"
    return folder, naming, len(jobs) if is_grid else None


def _check_job(line: Line, number: int) -> None:
    with front.translate_errors(line):
        config = front.compose(line)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.num = number
        with front.set_hydra_config(config):
            options = front.make_options(line, config)
    if check := line.command.get("check_in_sweep"):
        check(options)


def _list_words(override: ParsedOverride) -> list[str]:
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
