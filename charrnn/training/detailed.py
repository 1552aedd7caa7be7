"""What goes on inside a network while it trains: norms, gates, and what it expects to read next.

None of these callbacks draws a random number or changes what is trained.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import get_total_norm

from charrnn.cells import OPEN, SHUT
from charrnn.errors import InputError
from charrnn.network import Network
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import restoring
from charrnn.training.datamodule import WholeText
from charrnn.training.log import is_logged
from charrnn.training.loggers import keeps_figures, log_figure

# how characters are written that have no shape of their own
SHAPES = {"\n": "↵", "\r": "␍", "\t": "⇥", " ": "␣"}


class Norms(L.Callback):
    """The L2 norms of gradients, before they are clipped, and of weights, on each logged step.

    Of the whole network, of its embedding, of each recurrent layer and of its decoder.
    """

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer
    ) -> None:
        step = trainer.global_step + 1
        if trainer.is_global_zero and is_logged(trainer, step):
            found = norms(restoring.inner(pl_module.network))
            for logger in trainer.loggers:
                logger.log_metrics(found, step)


class OnAPassage(L.Callback, ABC):
    """Looks at what the network makes of how the validation text begins, at some validations.

    Args:
        every: at the first validation, and at every so many after it.
        length: characters of the passage.
    """

    def __init__(self, every: int, length: int) -> None:
        if every < 1 or length < 1:
            raise InputError(f"{type(self).__name__}: every and length must be 1 or more")
        self.every = every
        self.length = length
        self.validations = 0

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self.validations += 1
        if trainer.is_global_zero and (self.validations - 1) % self.every == 0:
            ids = _beginning(batch, self.length + 1).to(pl_module.device)
            # in float32, whatever the training's precision is
            with torch.autocast(pl_module.device.type, enabled=False):
                self.look(trainer, pl_module, ids)

    @abstractmethod
    def look(self, trainer: L.Trainer, module: Any, ids: Tensor) -> None:
        """Log what is seen on ids (T + 1); the last one is only predicted."""

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]


class GateSaturation(OnAPassage):
    """How often the gates of each layer are nearly shut (below 0.1) or nearly open (above 0.9).

    Shares of all units and characters; a cell without gates, such as rnn, has none.
    """

    def __init__(self, every: int = 4, length: int = 500) -> None:
        super().__init__(every, length)

    def look(self, trainer: L.Trainer, module: Any, ids: Tensor) -> None:
        shares: dict[str, float] = {}
        for layer, opened in enumerate(gates(restoring.inner(module.network), ids[:-1]), 1):
            for gate, values in opened.items():
                name = f"layer_{layer}_{gate}"
                shares[f"gates_shut/{name}"] = (values < SHUT).float().mean().item()
                shares[f"gates_open/{name}"] = (values > OPEN).float().mean().item()
        for logger in trainer.loggers:
            logger.log_metrics(shares, trainer.global_step)


class NextCharacters(OnAPassage):
    """A picture for the loggers: how likely the network finds each next character of a passage.

    Args:
        length: characters that are shown, a column each.
        warmup: characters read before them.
        characters: rows, for the most frequent characters of the passage and then the likeliest.
    """

    def __init__(
        self, every: int = 4, length: int = 60, warmup: int = 200, characters: int = 24
    ) -> None:
        super().__init__(every, warmup + length)
        self.shown = length
        self.characters = characters

    def look(self, trainer: L.Trainer, module: Any, ids: Tensor) -> None:
        if not any(map(keeps_figures, trainer.loggers)):
            return
        logits, _ = restoring.inner(module.network)(ids[None, :-1])
        chances = logits[0].float().softmax(-1)[-self.shown :]
        targets = ids[1:][-self.shown :]
        rows = _rows(chances, targets, self.characters)
        figure = _drawn(chances.cpu(), targets.tolist(), rows, module.vocabulary)
        with warnings.catch_warnings():  # a character for which there is no font is an empty box
            warnings.filterwarnings("ignore", message="Glyph")
            log_figure(trainer.loggers, "next_characters", figure, trainer.global_step)


def norms(network: Network) -> dict[str, float]:
    """The norms of gradients and weights by the part of a network, as the logger takes them."""
    found: dict[str, Tensor] = {}
    for name, parameters in _parts(network):
        trained = [p for p in parameters if p.requires_grad]
        gradients = [p.grad for p in trained if p.grad is not None]
        found[f"gradient_norm/{name}"] = get_total_norm(gradients)
        found[f"weight_norm/{name}"] = get_total_norm([p.detach() for p in trained])
    # read back at once, so that a GPU is waited for only once
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True))


def _parts(network: Network) -> Iterator[tuple[str, Iterable[nn.Parameter]]]:
    yield "network", network.parameters()
    if not isinstance(network, Network):
        yield from ((name, part.parameters()) for name, part in network.named_children())
        return
    yield "embedding", network.embedding.parameters()
    for number, layer in enumerate(network.recurrent, 1):
        yield f"layer_{number}", layer.parameters()
    yield "decoder", network.decoder.parameters()


def gates(network: Network, ids: Tensor) -> list[dict[str, Tensor]]:
    """For each layer, by their letter, the gates (T, H) between 0 and 1 along ids (T).

    What a gate reads is what its layer reads and the hidden vector before, so that those of a
    whole passage are two products. A network of somebody's own has none.
    """
    if not isinstance(network, Network):
        return []
    cell, hidden_size = network.architecture.cell, network.architecture.hidden_size
    passed: list[tuple[nn.Module, Tensor, Tensor]] = []
    watching = [
        layer.register_forward_hook(lambda m, read, out: passed.append((m, read[0][0], out[0][0])))
        for layer in network.recurrent
    ]
    try:
        network(ids[None])
    finally:
        for hook in watching:
            hook.remove()
    found = []
    for layer, read, hidden in passed:
        weight = layer.get_parameter
        sums = F.linear(read, weight("weight_ih_l0"), weight("bias_ih_l0"))
        if cell.recurrent:
            before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
            sums = sums + F.linear(before, weight("weight_hh_l0"), weight("bias_hh_l0"))
        found.append({g: sums[:, cell.rows(g, hidden_size)].sigmoid() for g in cell.sigmoids})
    return found


def _beginning(batch: Any, length: int) -> Tensor:
    """The first ids of a validation batch, as many as it has in a row."""
    if isinstance(batch, WholeText):
        return torch.from_numpy(batch.ids[:length])
    ids, targets, *_ = batch
    return torch.cat([ids[0], targets[0, -1:]])[:length]


def _rows(chances: Tensor, targets: Tensor, count: int) -> list[int]:
    """Which characters have a row: those of the passage by how often they come, then others."""
    size = chances.shape[1]
    often = torch.bincount(targets, minlength=size)
    # the passage alone decides about its own, so that pictures can be compared
    own = often - torch.arange(size, device=often.device) / (2 * size)
    order = torch.where(often > 0, own, chances.mean(0) / 2).argsort(descending=True)
    return [int(row) for row in order[:count]]


def _drawn(chances: Tensor, targets: list[int], rows: list[int], vocabulary: Vocabulary) -> Any:
    from matplotlib.figure import Figure

    def shapes(ids: list[int]) -> list[str]:
        return [SHAPES.get(c, c if c.isprintable() else "·") for c in vocabulary.decode(ids)]

    size = (0.17 * len(targets) + 1.2, 0.2 * len(rows) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(chances[:, rows].T.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for column, target in enumerate(targets):
        if target in rows:  # what really comes
            axes.plot(column, rows.index(target), "s", mfc="none", mec="tab:orange", ms=9, mew=1.2)
    axes.set_xticks(range(len(targets)), shapes(targets), family="monospace")
    axes.set_yticks(range(len(rows)), shapes(rows), family="monospace")
    axes.tick_params(length=0)
    nats = -chances[range(len(targets)), targets].log().mean()
    axes.set(xlabel=f"what comes (framed), {nats:.2f} nats a character", ylabel="what may come")
    figure.colorbar(image, label="probability", fraction=0.03, pad=0.01)
    return figure
