"""Other models that a run begins with: `init_from=` one, whose characters may be others, and
the teachers of `distill_from=`.

What the model of `init_from` and the text both know keeps what was learnt of it: its row of the
embedding and its row of the decoder. What only the text has begins as the run's seed makes it,
and what only the model has is left behind. All else is the model's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from charrnn.errors import InputError, shown
from charrnn.models import read_model
from charrnn.models.ensemble import (
    Trained,
    each,
    in_order_of,
    other_characters,
    read_models,
    with_counts,
)
from charrnn.models.trained import BY_CHARACTER, TrainedModel, require_same_order
from charrnn.network_ensemble import any_network_of
from charrnn.options.networks import LayerOptions
from charrnn.options.training import ModelNode, TrainOptions
from charrnn.runs.spec import RunSpec
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import LanguageModel
from charrnn.training.distillation import Distillation

# what of a trained model's architecture a fresh run may choose for itself
NOT_ADOPTED = ("dropout",)


def read_initial(init_from: str) -> TrainedModel:
    """The model that a new run starts from."""
    return read_model(init_from)


def adopt_architecture(
    config: TrainOptions, trained: TrainedModel, given: tuple[str, ...]
) -> ModelNode:
    """The options of the network that a run starts from, which decide; others stay as they are.

    Args:
        given: the options that were asked for, dotted.

    Raises:
        InputError: one of those is not what the checkpoint has.
    """
    asked = {key.removeprefix("model.") for key in given if key.startswith("model.")}
    asked |= {"kind"} if "model" in given else set()
    init_from, options = config.init_from, config.model
    names = {field.name for field in fields(LayerOptions)} - {*NOT_ADOPTED}
    values = {name: getattr(trained.architecture, name) for name in names}
    for name in asked & names:
        if (value := getattr(options, name)) != values[name]:
            raise InputError(
                f"model.{name}={value}: {init_from} has {values[name]}; "
                f"leave the option out to start from its weights"
            )
    return replace(options, **values)


def require_same_tokens(
    init_from: str, trained: TrainedModel, vocabulary: Vocabulary, encoding: str
) -> None:
    """Refuse a model of bytes for a text of characters, and the other way round.

    A byte above 127 is no character, so nothing learnt of it would be true of one.

    Args:
        encoding: of the text; ASCII alone does not show that it was read as bytes.

    Raises:
        InputError: says which encoding to give.
    """
    theirs = _is_bytes(trained.vocabulary, trained.facts.get("encoding"))
    if theirs == _is_bytes(vocabulary, encoding):
        return
    raise InputError(
        f"init_from={shown(init_from)}: was trained on bytes, and the text is read as characters; "
        f"give data.encoding=bytes"
        if theirs
        else f"init_from={shown(init_from)}: was trained on characters, and the text is read as "
        f"bytes; give the text's own data.encoding= (utf-8, say) instead of bytes"
    )


def _is_bytes(vocabulary: Vocabulary, encoding: Any) -> bool:
    return vocabulary.is_bytes or encoding == "bytes"


@dataclass(frozen=True)
class Initial:
    """What a network begins with when it starts from a model.

    Attributes:
        weights: by their names in the network's ``state_dict``.
        common: characters that the text and the model have.
        new: characters that only the text has.
        unused: characters that only the model has.
    """

    weights: dict[str, Tensor]
    common: int
    new: int
    unused: int


def initial_weights(
    trained: TrainedModel, vocabulary: Vocabulary, fresh: Mapping[str, Tensor]
) -> Initial:
    """The model's weights, its characters in the order of the data's vocabulary.

    Args:
        fresh: those of the network as it was initialized, for the characters that are new.

    Raises:
        InputError: it is a network of somebody's own, with other characters.
    """
    require_same_order(trained, vocabulary)
    ids = {c: i for i, c in enumerate(trained.vocabulary.characters)}
    ours = [i for i, c in enumerate(vocabulary.characters) if c in ids]
    theirs = [ids[vocabulary.characters[i]] for i in ours]
    weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
    for name in () if trained.architecture.is_own else BY_CHARACTER:
        rows = fresh[name].clone()
        rows[ours] = weights[name][theirs]
        weights[name] = rows
    return Initial(weights, len(ours), len(vocabulary) - len(ours), len(ids) - len(ours))


def read_teachers(config: TrainOptions, vocabulary: Vocabulary) -> Trained | None:
    """The teachers, their characters in the order of the text's vocabulary; None without.

    Raises:
        InputError: they cannot be read, or know other characters than the text.
    """
    paths = config.distill_from
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
    return each(teachers, lambda member: in_order_of(member, vocabulary))


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
