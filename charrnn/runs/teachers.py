"""The teachers of a run: `distill_from=` one model or several."""

from __future__ import annotations

import hashlib

from charrnn.ensemble import any_network_of
from charrnn.errors import InputError, shown
from charrnn.models.ensemble import (
    Trained,
    in_order_of,
    other_characters,
    read_models,
    together,
    with_counts,
)
from charrnn.runs.record import Config
from charrnn.runs.spec import RunSpec
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel
from charrnn.training.distillation import Distillation


def read_teachers(config: Config, vocabulary: Vocabulary) -> Trained | None:
    """The teachers, their characters in the order of the text's vocabulary; None without.

    Raises:
        InputError: they cannot be read, or know other characters than the text.
    """
    paths = config["distill_from"]
    if paths is None:
        return None
    try:
        # the counts of a teacher know the training text by heart
        teachers = with_counts(read_models(paths), "none")
    except InputError as error:
        raise InputError(f"distill_from: {error}") from None
    if difference := other_characters(teachers.vocabulary, vocabulary):
        raise InputError(
            f"distill_from={shown(paths[0])}: {difference} the text; a teacher must know the same "
            f"characters, as a model that was trained on the same text does"
        )
    return together([in_order_of(member, vocabulary) for member in teachers.members])


def teach(module: LanguageModel, teachers: Trained | None, weight: float) -> None:
    """Let a module be trained by its run's teachers, if it has any."""
    if teachers is not None:
        taught = Distillation(any_network_of(teachers), weight, module.compute_loss)
        module.window_loss = taught  # type: ignore[method-assign]


def fingerprint(teachers: Trained | None, run: RunSpec) -> str | None:
    """What tells a run's teachers from others; None for a run without.

    Raises:
        InputError: they are not those that the run's checkpoint was trained with.
    """
    found = None if teachers is None else _fingerprint(teachers)
    if run.entry is not None and run.entry.get("teachers") != found:
        raise InputError(
            f"distill_from: {run.checkpoint} was "
            + ("trained with other teachers" if run.entry.get("teachers") else "begun without")
            + "; bring them back as they were, or start anew with init_from= for the weights"
        )
    return found


def _fingerprint(teachers: Trained) -> str:
    digest = hashlib.sha256()
    for member in teachers.members:
        digest.update(f"{member.architecture}\n".encode())
        for name in sorted(member.weights):
            digest.update(f"{name}\n".encode())
            digest.update(member.weights[name].astype("<f4", order="C").data)
    return digest.hexdigest()
