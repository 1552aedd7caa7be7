"""What a study leaves when its sweep ends: Optuna's plots, and the command that trains its best."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.cli import conf
from charrnn.cli.literal import as_typed
from charrnn.extras.search.search import FILE, StudyFile
from charrnn.files import replacing, short_path
from charrnn.runs import run_history
from charrnn.say import say
from charrnn.sweeps.leaderboard import leaderboard
from charrnn.sweeps.summary import summaries

if TYPE_CHECKING:
    import optuna

LEAST = 2  # trials that ended, of which a plot says anything


def at_end(folder: Path) -> None:
    """Of the study in a sweep's folder, if there is one."""
    if not (folder / FILE).is_file():
        return
    study = StudyFile(folder).study
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    say(f"study: {len(states)} trials ({counts})")
    if states.count("complete") >= LEAST and (drawn := draw(study, folder)):
        say(f"plots: {', '.join(short_path(path) for path in drawn)}")
    best = leaderboard(folder, summaries(folder)).best
    if best is not None:
        words = shlex.join(map(as_typed, _words_of(best.folder)))
        say(f"train with the best: charrnn train {words}")


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """Write history.png, importances.png, parallel_coordinates.png and losses.png.

    Returns:
        The files; none where matplotlib is not installed.

    Raises:
        RunError: a file cannot be written.
    """
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("agg")  # no window, whatever there is
    from matplotlib import pyplot
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as plots

    loss = {"target_name": "validation loss"}
    # Optuna's other evaluators need scikit-learn
    evaluator = {"evaluator": PedAnovaImportanceEvaluator()}
    drawings: dict[str, tuple[Any, dict[str, Any]]] = {
        "history": (plots.plot_optimization_history, loss),
        "importances": (plots.plot_param_importances, {**loss, **evaluator}),
        "parallel_coordinates": (plots.plot_parallel_coordinate, loss),
        "losses": (plots.plot_intermediate_values, {}),
    }
    drawn = []
    for name, (plot, arguments) in drawings.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls these experimental
            try:
                figure = plot(study, **arguments).get_figure()
            except (ValueError, RuntimeError):
                # of trials that are all alike nothing is important, say
                continue
        figure.set_size_inches(9, 5)
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight")
        pyplot.close(figure)
        drawn.append(folder / f"{name}.png")
    return drawn


def _words_of(run: Path) -> list[str]:
    """The overrides that a run was begun with, without those of the search.

    The study may be somebody else's: what would build something, look it up or ask an address is
    not for a command line that is copied.
    """
    names = conf.page("train").names()
    found = []
    for override in run_history.overrides(run):
        key, _, value = override.partition("=")
        kept = key in names and key not in ("sweep", "resume")
        if kept and "_target_" not in override and "${" not in override and ".." not in value:
            found.append(override)
    return found
