"""Optuna's own plots of a study, as pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.files import replacing

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
