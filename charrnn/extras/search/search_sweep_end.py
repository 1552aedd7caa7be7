"""What a study leaves when its sweep ends: Optuna's plots, and an experiment with its best."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from charrnn.cli import conf
from charrnn.cli.literal import as_typed
from charrnn.errors import InputError, RunError
from charrnn.extras.search.study import FILE, opened
from charrnn.files import replacing, short_path
from charrnn.runs import run_history
from charrnn.say import say
from charrnn.sweeps.leaderboard import leaderboard
from charrnn.sweeps.summary import summaries

if TYPE_CHECKING:
    import optuna


LEAST = 2  # trials that ended, of which a plot says anything
NAMED = 12  # of so many, each has a line in a legend


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """Write history.png, importances.png, parallel_coordinates.png and losses.png.

    Returns:
        The files; none where too few trials have ended, or matplotlib is not installed.

    Raises:
        RunError: a file cannot be written.
    """
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    try:
        import matplotlib
    except ImportError:
        return []
    if len(complete) < LEAST:
        return []
    matplotlib.use("agg")  # no window, whatever there is
    from matplotlib import pyplot
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as plots

    # Optuna's other evaluators need scikit-learn
    evaluator = PedAnovaImportanceEvaluator()
    many = len(study.get_trials(deepcopy=False)) > NAMED
    loss = {"target_name": "validation loss"}
    of_validations = {"xlabel": "validation", "ylabel": "validation loss"}
    drawings: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
        "history": (plots.plot_optimization_history, loss, {}),
        "importances": (plots.plot_param_importances, {**loss, "evaluator": evaluator}, {}),
        "parallel_coordinates": (plots.plot_parallel_coordinate, loss, {}),
        "losses": (plots.plot_intermediate_values, {}, of_validations),
    }
    drawn = []
    for name, (plot, arguments, labels) in drawings.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls these experimental
            try:
                axes = plot(study, **arguments)
            except (ValueError, RuntimeError):
                # of trials that are all alike nothing is important, say
                continue
        axes.set(**labels)
        if many and (legend := axes.get_legend()) is not None and labels:
            legend.remove()  # it has a line for each trial
        figure = axes.get_figure()
        figure.set_size_inches(9, 5)
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight")
        pyplot.close(figure)
        drawn.append(folder / f"{name}.png")
    return drawn


def written(overrides: Sequence[str], title: str) -> str:
    """The text of an experiment file.

    Raises:
        InputError: an override takes something out, which no file can.
    """
    groups = conf.page("train").groups
    choices: list[Any] = []
    options: dict[str, Any] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        name = override.key_or_group
        if override.is_delete():
            raise InputError(f"{override.input_line}: no experiment file can take something out")
        value = _plain(override)
        if name == "experiment":
            choices[:0] = value if isinstance(value, list) else [value]
        elif name in groups and not isinstance(value, dict):
            choices.append({f"override /{name}": value})
        else:
            _put(options, name.split("."), value)
    lists = {"defaults": choices} if choices else {}
    text = yaml.safe_dump({**lists, **options}, sort_keys=False, allow_unicode=True)
    return f"# @package _global_\n# {title}\n{text}"


def _plain(override: Override) -> Any:
    value = override.value()
    if isinstance(value, list | dict):
        return yaml.safe_load(yaml.safe_dump(value))
    return value


def _put(options: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    *parents, last = parts
    for parent in parents:
        options = options.setdefault(parent, {})
    options[last] = value


EXPERIMENT = Path("experiment") / "best.yaml"


def at_end(folder: Path) -> None:
    """Of the study in a sweep's folder, if there is one."""
    if not (folder / FILE).is_file():
        return
    study = opened(folder)
    trials = study.get_trials(deepcopy=False)
    states = [trial.state.name.lower() for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    say(f"study: {len(trials)} trials ({counts})")
    best = leaderboard(folder, summaries(folder)).best
    try:
        if drawn := draw(study, folder):
            say(f"plots: {', '.join(short_path(path) for path in drawn)}")
        if best is not None:
            _tell_best(folder, best.folder)
    except (InputError, RunError) as error:
        say(str(error))


def _tell_best(folder: Path, run: Path) -> None:
    overrides = _of_the_run(run)
    words = shlex.join(map(as_typed, overrides))
    say(f"train with the best: charrnn train {words}")
    text = written(overrides, f"the best of {folder.name}")
    with replacing(folder / EXPERIMENT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"  or: charrnn train --config-dir {shlex.quote(short_path(folder))} experiment=best")


def _of_the_run(run: Path) -> list[str]:
    """The overrides that a run was begun with, without those of the search.

    The study may be somebody else's: what would build something, look it up or ask an address is
    not for a command line that is copied.
    """
    found = []
    for override in run_history.overrides(run):
        key, _, value = override.partition("=")
        names = conf.page("train").names()
        kept = key in names and key not in ("sweep", "resume")
        if kept and "_target_" not in override and "${" not in override and ".." not in value:
            found.append(override)
    return found
