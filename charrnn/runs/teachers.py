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
from charrnn.runs.begin import ResumePoint
from charrnn.runs.request import Config
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel
from charrnn.training.distillation import Distillation


def fingerprint(config: Config, vocabulary: Vocabulary, start: ResumePoint) -> str | None:
    """What tells a run's teachers from others; None for a run without.

    Raises:
        InputError: they cannot be read, know other characters than the text, or are not those
            that a checkpoint was trained with.
    """
    teachers = _read(config, vocabulary)
    found = None if teachers is None else _fingerprint(teachers)
    if start.entry is not None and start.entry.get("teachers") != found:
        raise InputError(
            f"distill_from: {start.path} was "
            + ("trained with other teachers" if start.entry.get("teachers") else "begun without")
            + "; bring them back as they were, or start anew with init_from= for the weights"
        )
    return found


def teach(module: LanguageModel, config: Config) -> None:
    """Let a module be trained by its run's teachers, if it has any."""
    teachers = _read(config, module.vocabulary)
    if teachers is not None:
        network, weight = any_network_of(teachers), config["distill_weight"]
        module.window_loss = Distillation(network, weight, module.compute_loss)  # type: ignore[method-assign]


def _read(config: Config, vocabulary: Vocabulary) -> Trained | None:
    """The teachers, their characters in the order of the text's vocabulary."""
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


def _fingerprint(teachers: Trained) -> str:
    digest = hashlib.sha256()
    for member in teachers.members:
        digest.update(f"{member.architecture}\n".encode())
        for name in sorted(member.weights):
            digest.update(f"{name}\n".encode())
            digest.update(member.weights[name].astype("<f4", order="C").data)
    return digest.hexdigest()
