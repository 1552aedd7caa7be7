"""`fit_temperature=true`: the temperature of evaluation, fitted when a run has ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from charrnn.data import open_data, translated
from charrnn.errors import InputError
from charrnn.evaluation import fitted_temperature
from charrnn.evaluation.temperature import ENOUGH
from charrnn.models import IN_A_RUN, model_file
from charrnn.network import network_of
from charrnn.say import progress, say


def record_temperature(folder: Path) -> None:
    """Fit it on the validation split with the run's best model, and write it into the model file.

    Without a model file or a validation split there is nothing to do, nor where it is recorded,
    or where counts are mixed in, whose weights do the same. Where the data are gone, which a
    finished run does not need otherwise, a line says so.
    """
    path = folder / IN_A_RUN[0]
    if not path.is_file():
        return
    trained = model_file.load(path)
    if "evaluation_temperature" in trained.facts:
        return
    if trained.counts is not None:
        say("temperature of evaluation: not fitted; the weights of the counts do what it does")
        return
    try:
        data = open_data(Path(trained.facts["input_h5"]), Path(trained.facts["input_json"]))
    except InputError as error:
        say(f"temperature of evaluation: not fitted; {error}")
        return
    ids = translated(data, "val", trained.vocabulary)
    if len(ids) < 2:
        return
    with progress(2 * min(len(ids) - 1, ENOUGH)) as report:
        fitted = fitted_temperature(network_of(trained), ids, report=report)
    facts = {**trained.facts, "evaluation_temperature": fitted.temperature}
    model_file.save(path, replace(trained, facts=facts))
    say(
        f"temperature of evaluation: {fitted.temperature:.2f}, with which the validation loss is "
        f"{fitted.plain - fitted.loss:.4f} lower; charrnn evaluate temperature=recorded"
    )
