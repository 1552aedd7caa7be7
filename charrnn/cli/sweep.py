"""``-m``: one command line, many jobs, which Hydra's sweeper and launcher run.

Each job is composed and checked before the first begins, so a mistyped value refuses the sweep as
a whole. A job that fails later prints its line at once and does not stop the others.
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

from charrnn.cli.command_line import Line
from charrnn.cli.front import (
    Task,
    hydra_config,
    initialize_hydra,
    options_of,
    run_hydra_main,
    translate_errors,
)
from charrnn.cli.overrides import quoted
from charrnn.errors import InputError, RunError, shorten, to_one_line
from charrnn.files import shorten_path
from charrnn.say import say


def run(line: Line) -> None:
    """Check every job, then let Hydra run them.

    Raises:
        InputError: a job cannot run; nothing has begun.
        RunError: some failed; their lines are printed already.
    """
    folder, naming, jobs = _checked(line)
    task = Task(line, jobs=jobs)
    if not line.command.get("MAKES_FOLDER"):
        with tempfile.TemporaryDirectory(prefix="charrnn-") as temporary:  # for what Hydra writes
            _run(line, task, Path(temporary), naming)
        return
    is_complete = False
    try:
        _run(line, task, folder, naming)
        is_complete = True
    finally:
        _tell_end(line, folder, is_complete)


def _run(line: Line, task: Task, folder: Path, naming: str) -> None:
    raised: Exception | None = None
    try:
        run_hydra_main(line.with_text("hydra.sweep.dir", str(folder)), task, naming)
    except Exception as error:  # of the first job that failed
        raised = error
    for failure in task.failed:
        say(f"failed: {failure}")
    if task.failed:
        of = f" of {task.jobs}" if task.jobs else ""
        raise RunError(f"{len(task.failed)}{of} jobs failed") from raised
    if isinstance(raised, RunError):
        raise raised
    if isinstance(raised, InputError) and not any(folder.glob("*/")):  # of the sweeper
        raise raised
    if raised is not None:  # of a job in another process
        kind = not isinstance(raised, InputError)
        raise RunError(f"a job failed: {to_one_line(raised, 500, with_type=kind)}") from raised


def _tell_end(line: Line, folder: Path, is_complete: bool) -> None:
    from charrnn.runs import leaderboard

    line = line.with_text("hydra.sweep.dir", shorten_path(folder)).with_text("resume", "auto")
    again = [*line.hydras_flags(), *(override.typed for override in line.overrides)]
    leaderboard.report_sweep(folder, "" if is_complete else f"charrnn train {shlex.join(again)}")


def _checked(line: Line) -> tuple[Path, str, int | None]:
    """Check each job, as far as they are known.

    Returns:
        The sweep's folder; the word by which Hydra calls a job after what differs; how many jobs
        there are, None where the sweeper decides.

    Raises:
        InputError: names a job by its overrides.
    """
    with translate_errors(line), initialize_hydra(line):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides(line.words)
        config = line.as_job([_words(override)[0] for override in parsed]).compose()
        params = config.hydra.sweeper.get("params") or {}
        further = parser.parse_overrides([f"{name}={value}" for name, value in params.items()])
        each = {override.get_key_element(): override for override in [*further, *parsed]}
        is_swept = [override.is_sweep_override() for override in each.values()]
        is_listed = config.hydra.sweeper._target_.endswith(".BasicSweeper")
        product = itertools.product(*map(_words, each.values()))
        jobs = [list(job) for job in itertools.islice(product, None if is_listed else 1)]
        for number, words in enumerate(jobs):
            try:
                _check(line.as_job(words), number)
            except InputError as error:
                differs = " ".join(itertools.compress(words, is_swept))
                job = f"job {number} ({differs}): " if len(jobs) > 1 else ""
                raise InputError(f"{shorten(job)}{error}") from error
    folder = Path(config.hydra.sweep.dir).absolute()
    goes_on = line.find_last("resume").text is not None
    if line.command.get("MAKES_FOLDER") and not goes_on and any(folder.glob("*/.hydra")):
        raise InputError(
            f"hydra.sweep.dir={shorten_path(folder)}: holds runs already; with resume=auto the "
            f"command that began them goes on with them, or give another folder"
        )
    alike = [o.key_or_group for o in each.values() if not o.is_sweep_override()]
    names = ",".join(map(quoted, dict.fromkeys([*alike, "resume", "trust"])))
    naming = f"hydra.job.config.override_dirname.exclude_keys=[{names}]"
    return folder, naming, len(jobs) if is_listed else None


def _check(line: Line, number: int) -> None:
    with translate_errors(line):
        config = line.compose()
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.num = number
        with hydra_config(config):
            options = options_of(line, config)
    if check := line.command.get("check_in_sweep"):
        check(options)


def _words(override: ParsedOverride) -> list[str]:
    """Return a word for each value of an override."""
    key = override.get_key_element()
    if isinstance(value := override.value(), IntervalSweep):
        return [f"{key}={value.start}"]
    if override.is_sweep_override():
        words = [f"{key}={text}" for text in override.sweep_string_iterator()]
        if not words:
            raise InputError(f"{override.input_line}: stands for no value")
        return words
    return [str(override.input_line)]
