"""Run the jobs of a sweep (``-m``) by Hydra's sweeper and launcher.

Hydra composes all jobs before the first job starts, so a wrong name or choice refuses the sweep. A
job whose options have a wrong type or value, or that fails later, prints its error at once and does
not stop the other jobs.
"""

from __future__ import annotations

import math
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from charrnn.cli import exit_codes, hydra_runs
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
from charrnn.errors import InputError, RunError, to_one_line
from charrnn.files import shorten_path
from charrnn.runs.folder import prepare_sweep
from charrnn.say import say


def run(line: CommandLine, typed: Sequence[str]) -> None:
    """Run the jobs by Hydra. Raise RunError if a job failed.

    Args:
        typed: the words of the command line, with which the sweep can be repeated.
    """
    hydra_runs.enable_garbage_collector()
    folder, naming, num_jobs = _plan_jobs(line)
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
    try:
        _run_jobs(line._replace(words=words), folder, num_jobs)
    except InputError:  # No job started.
        raise
    except BaseException:
        _report(folder, typed, is_complete=False)
        raise
    _report(folder, typed, is_complete=True)


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
        # Hydra cannot compose a job; or a sweeper that chooses the jobs, which their errors do not
        # end, raises InputError itself.
        is_refused = isinstance(raised.__cause__, HydraException) or num_jobs is None
        if isinstance(raised, RunError) or (is_input_error and is_refused):
            raise raised
        # A job in another process failed.
        reason = to_one_line(raised, 500, with_type=not is_input_error)
        raise RunError(f"a job failed: {reason}") from raised


def _report(folder: Path, typed: Sequence[str], is_complete: bool) -> None:
    from charrnn.runs import leaderboard

    kept = [word for word in typed if get_key(word) not in ("hydra.sweep.dir", "resume")]
    words = [*kept, f"hydra.sweep.dir={shorten_path(folder)}", "resume=auto"]
    leaderboard.report_sweep(folder, "" if is_complete else f"charrnn train {shlex.join(words)}")


def _plan_jobs(line: CommandLine) -> tuple[Path, str, int | None]:
    """Compose the first job.

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
        is_grid = config.hydra.sweeper._target_.endswith(".BasicSweeper")
        num_jobs = math.prod(len(_list_words(override)) for override in overrides)
        folder = hydra_runs.get_folder(config, "hydra.sweep.dir")
    resumes = read_text(line.words, "resume") is not None
    if line.command.get("MAKES_FOLDER") and not resumes and any(folder.glob("*/.hydra")):
        raise InputError(
            f"hydra.sweep.dir={shorten_path(folder)}: contains runs; to resume them, repeat their "
            f"command with resume=auto, or name another folder"
        )
    return folder, _name_by_differences(overrides), num_jobs if is_grid else None


def _name_by_differences(overrides: Sequence[Override]) -> str:
    """Return an override that leaves equal options out of the names of the jobs."""
    equal = [o.key_or_group for o in overrides if not o.is_sweep_override()]
    names = ",".join(map(quote, dict.fromkeys([*equal, "resume", "trust"])))
    return f"hydra.job.config.override_dirname.exclude_keys=[{names}]"


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
