"""Whether the training state in a checkpoint fits the run that is to go on from it.

A file can be whole and still hold what no run of this network wrote. Lightning and torch would
fail on that in a hundred places, some of them in the middle of a step; here it is looked at
once, before anything is touched.
"""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from charrnn.models.checkpoint import ENTRY, NETWORK_PREFIX, model_in
from charrnn.network import Network

# what torch.optim keeps of each parameter; all but the step are of the parameter's shape
OPTIMIZER_STATE = {
    "adam": ("step", "exp_avg", "exp_avg_sq"),
    "adamw": ("step", "exp_avg", "exp_avg_sq"),
    "rmsprop": ("step", "square_avg"),
}


def check_state(content: dict[str, Any], network: Network, optimizer: str) -> None:
    """Check that model, optimizer, carried state and counts are those of a run of the network.

    Args:
        content: of a checkpoint.
        optimizer: its name, as in `OptimizerOptions`.

    Raises:
        ValueError, InputError: they are not.
    """
    ours = content[ENTRY]
    model_in(content)
    _check_best(ours["best"])
    _check_weights(content["state_dict"], network)
    # Lightning keeps the scaler's state under the name of its plugin
    scaled = "MixedPrecision" in content
    _check_optimizer(
        content["optimizer_states"], network, OPTIMIZER_STATE[optimizer], scaled=scaled
    )
    rows, _ = ours["sizes"]
    ranks = ours["ranks"]
    _require(bool(ranks) and rows % len(ranks) == 0, "ranks")
    for rank in ranks:
        _check_rank(rank, rows // len(ranks), network)


def check_loops(
    content: dict[str, Any], trainer: L.Trainer, datamodule: L.LightningDataModule
) -> None:
    """Raise ValueError unless Lightning's counters are those of the checkpoint's step."""
    step = content["global_step"]
    given = content["loops"].get("fit_loop")
    _require(_same_counters(given, trainer.fit_loop.state_dict(), step + 1), "loops")
    progress = given["epoch_loop.automatic_optimization.optim_progress"]
    _require(progress["optimizer"]["step"]["total"]["completed"] == step, "loops")
    position = content.get(type(datamodule).__qualname__)
    _require(position == {"trained_steps": step}, "position in the data")


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise ValueError(f"its {name} is not that of this run")


def _check_best(best: dict[str, Any]) -> None:
    kinds = {"loss": float, "step": int, "waited": int, "bar": float}
    _require(best.keys() == kinds.keys(), "best")
    for name, kind in kinds.items():
        _require(type(best[name]) is kind and not math.isnan(best[name]), "best")


def _check_weights(weights: dict[str, Any], network: Network) -> None:
    wanted = {NETWORK_PREFIX + name: weight for name, weight in network.state_dict().items()}
    _require(weights.keys() == wanted.keys(), "state_dict")
    for name, weight in wanted.items():
        _require(_is_like(weights[name], weight), name)


def _check_optimizer(
    states: list[Any], network: Network, names: tuple[str, ...], *, scaled: bool
) -> None:
    parameters = [p for p in network.parameters() if p.requires_grad]
    _require(len(states) == 1 and isinstance(states[0], dict), "optimizer_states")
    state = states[0].get("state")
    _require(isinstance(state, dict), "optimizer_states")
    if scaled and state == {}:
        return  # every step so far was skipped
    _require(list(state) == list(range(len(parameters))), "optimizer_states")
    for parameter, values in zip(parameters, state.values(), strict=True):
        _require(isinstance(values, dict) and set(values) == set(names), "optimizer_states")
        for name in names:
            like = torch.zeros(()) if name == "step" else parameter
            _require(_is_like(values[name], like), f"optimizer's {name}")


def _check_rank(rank: Any, rows: int, network: Network) -> None:
    _require(isinstance(rank, dict) and rank.keys() == {"state", "cpu", "cuda"}, "ranks")
    architecture = network.architecture
    shape = (rows, architecture.hidden_size)
    parts = len(architecture.cell.carried)
    layers = rank["state"]
    _require(isinstance(layers, list) and len(layers) == architecture.num_layers, "carried state")
    for layer in layers:
        _require(isinstance(layer, list) and len(layer) == parts, "carried state")
        for part in layer:
            _require(isinstance(part, Tensor) and part.is_floating_point(), "carried state")
            _require(tuple(part.shape) == shape, "carried state")
    _require(isinstance(rank["cpu"], Tensor), "random-number state")
    _require(rank["cuda"] is None or isinstance(rank["cuda"], Tensor), "random-number state")
    try:
        torch.Generator().set_state(rank["cpu"])
    except (RuntimeError, TypeError):
        _require(False, "random-number state")


def _is_like(value: Any, tensor: Tensor) -> bool:
    return isinstance(value, Tensor) and value.dtype == tensor.dtype and value.shape == tensor.shape


def _same_counters(given: Any, fresh: Any, bound: int) -> bool:
    """Whether two nested dicts have the same names, and `given` counts from 0 to `bound`."""
    if isinstance(fresh, dict):
        return (
            isinstance(given, dict)
            and given.keys() == fresh.keys()
            and all(_same_counters(given[name], fresh[name], bound) for name in fresh)
        )
    if type(fresh) is int:
        return type(given) is int and 0 <= given <= bound
    return type(given) is type(fresh)
