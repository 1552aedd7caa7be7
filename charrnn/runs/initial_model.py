"""Another model that a run begins with: that of `init_from=`, whose characters may be others.

What the model of `init_from` and the text both know keeps what was learnt of it: its row of the
embedding and its row of the decoder. What only the text has begins as the run's seed makes it,
and what only the model has is left behind. All else is the model's.
"""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from charrnn.errors import InputError
from charrnn.models.trained import BY_CHARACTER, TrainedModel
from charrnn.options.networks import NetworkOptions
from charrnn.options.training import ModelNode, TrainOptions
from charrnn.training import LanguageModel


def adopt_architecture(
    config: TrainOptions, trained: TrainedModel, given: tuple[str, ...]
) -> ModelNode:
    """The options of the network that a run starts from, which decide; others stay as they are.

    Args:
        given: the options on the command line, dotted.

    Raises:
        InputError: one of those is not what the checkpoint has.
    """
    given_names = {key.removeprefix("model.") for key in given if key.startswith("model.")}
    given_names |= {"kind"} if "model" in given else set()
    init_from, options = config.init_from, config.model
    # how much is dropped, a fresh run may choose for itself
    names = {field.name for field in fields(NetworkOptions)} - {"dropout"}
    values = {name: getattr(trained.architecture, name) for name in names}
    for name in given_names & names:
        if (value := getattr(options, name)) != values[name]:
            raise InputError(
                f"model.{name}={value}: {init_from} has {values[name]}; "
                f"leave the option out to start from its weights"
            )
    return replace(options, **values)


def load_initial(trained: TrainedModel, module: LanguageModel) -> None:
    """Give a fresh network the weights of a model, by the characters that both know."""
    characters = module.vocabulary.characters
    ids = {c: i for i, c in enumerate(trained.vocabulary.characters)}
    ours = [i for i, c in enumerate(characters) if c in ids]
    theirs = [ids[characters[i]] for i in ours]
    weights = {name: torch.tensor(w) for name, w in trained.weights.items()}
    fresh = module.network.state_dict()
    for name in BY_CHARACTER:
        rows = fresh[name].clone()
        rows[ours] = weights[name][theirs]
        weights[name] = rows
    module.network.load_state_dict(weights)
