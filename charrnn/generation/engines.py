"""A model as one function, and the engine that reads and writes with it.

    logits, state = step(ids, state)

The step of a network is in `charrnn.generation.numpy_network`; here is one in torch, for GPUs and
other cells. `mix_with_counts` makes the step of a mixture from one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from charrnn.counts.mixing import Counts
from charrnn.counts.recent import RecentContexts
from charrnn.generation.draw import Array, Drawer, Floats, Ids, Tail, log_softmax
from charrnn.generation.numpy_network import CELLS, Step, fold_weights, make_network_step
from charrnn.models.trained import State, TrainedModel
from charrnn.processors import get_torch_pool, limit_blas_threads

_FEW = 4  # up to this number of streams, the counts are mixed stream by stream


# -- steps -----------------------------------------------------------------------------------------


def make_torch_step(model: TrainedModel, device: str) -> Step:
    """Return the step of one network in torch, for all cells.

    The state stays on the device. The logits of all streams are copied to the CPU at once.
    """
    import torch

    from charrnn.networks.network import make_network

    network = make_network(model).eval().requires_grad_(False).to(device)

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Array | None, State]:
        characters = torch.as_tensor(ids[:, None], device=device)
        layers = [tuple(torch.as_tensor(v, device=device) for v in layer) for layer in state]
        logits, after = network(characters, layers)
        return logits[:, 0].cpu().numpy() if needs_logits else None, after

    return step


def mix_with_counts(network: Step, counts: Counts) -> Step:
    """Return the step of a mixture with counts (`charrnn.counts.mixing`).

    The last entry of its state is the counts' state. The network's step is not called if its weight
    is always 0.
    """
    recent = RecentContexts(counts)

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Any, State]:
        *layers, (before,) = state
        logits = None
        if counts.needs_network:
            logits, layers = network(ids, layers, needs_logits)
        after = counts.find_states(ids[:, None], before)[:, 0]
        mixed = None
        if needs_logits:
            mixer = recent if len(ids) <= _FEW else counts
            mixed = mixer.mix(after, logits)
        return mixed, [*layers, (after,)]

    return step


# -- engines ---------------------------------------------------------------------------------------


class Engine:
    """The engine of a step in NumPy, which reads and writes N streams. Threads may share it.

    Args:
        has_counts: whether the step is of a mixture with counts. `read` and `step` then return
            log-probabilities.
    """

    def __init__(self, step: Step, vocabulary_size: int, has_counts: bool) -> None:
        self._step, self._vocabulary_size, self._has_counts = step, vocabulary_size, has_counts

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Read known characters.

        Args:
            ids: (N, T).
            state: before the first character. It is not changed.

        Returns:
            The logits (N, T, V) of the next character after each, and the state after the last.
            The logits of a mixture with counts are log-probabilities.
        """
        logits = np.empty((*ids.shape, self._vocabulary_size), np.float32)
        return logits, self._run(self._read, ids, state, logits)

    def advance(self, ids: Ids, state: State) -> State:
        """Return the state after known characters (N, T)."""
        return self._run(self._read, ids, state)

    def step(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Read one more character ids (N,) of each stream; return like `read`, without the T."""
        logits, state = self.read(ids[:, None], state)
        return logits[:, 0], state

    def write(
        self, ids: Ids, state: State, uniforms: Floats, drawer: Drawer, tails: Sequence[Tail]
    ) -> tuple[Ids, State]:
        """Write new characters.

        Args:
            ids: (N,), the last character of each stream, which is not read yet.
            state: before this character. It is not changed.
            uniforms: (N, T), in [0, 1): a random number for each new character.
            tails: of the texts. They are changed.

        Returns:
            The ids (N, T) of the new characters, and the state before the last of them.

        Raises:
            RunError: the logits are not finite.
        """
        written = np.empty(uniforms.shape, np.int64)
        return written, self._run(self._write, ids, state, uniforms, drawer, tails, written)

    def _run(self, method: Callable[..., State], *arguments: Any) -> State:
        """Call `_read` or `_write`. torch needs another thread for it (`TorchEngine`)."""
        with limit_blas_threads(), np.errstate(all="ignore"):
            return method(*arguments)

    def _read(self, ids: Ids, state: State, logits: Array | None = None) -> State:
        """Return the state after known characters, and fill `logits` (N, T, V)."""
        for t, column in enumerate(ids.T):
            scores, state = self._step(column, state, logits is not None)
            if logits is not None:
                logits[:, t] = log_softmax(scores) if self._has_counts else scores
        return state

    def _write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        drawer: Drawer,
        tails: Sequence[Tail],
        written: Ids,
    ) -> State:
        """Fill `written` (N, T) with new characters, and return the state before the last."""
        for t, column in enumerate(uniforms.T.tolist()):
            logits, state = self._step(ids, state)
            counts = state[-1][0] if self._has_counts else None
            written[:, t] = ids = np.array(drawer.draw(logits, column, tails, counts))
        return state


class TorchEngine(Engine):
    """The engine of a step in torch. It runs in a thread in which torch uses one core."""

    def _run(self, method: Callable[..., State], *arguments: Any) -> State:
        import torch

        from charrnn.networks.precision import set_float32_precision

        def call() -> State:
            with torch.inference_mode(), set_float32_precision(tf32=False):
                return Engine._run(self, method, *arguments)

        state = get_torch_pool(1).submit(call).result()
        return [
            tuple(v.cpu().numpy() if isinstance(v, torch.Tensor) else v for v in layer)
            for layer in state
        ]


def make_engine(model: TrainedModel, device: str = "cpu") -> Engine:
    """Return the engine of a model.

    Args:
        device: cpu, or a device of torch. NumPy computes on the CPU, if it has a step for every
            cell; torch computes everything else.
    """
    engine: type[Engine] = Engine
    if device != "cpu" or model.architecture.kind not in CELLS:
        engine, step = TorchEngine, make_torch_step(model, device)
    else:
        step = make_network_step(fold_weights(model))
    if model.counts is not None:
        step = mix_with_counts(step, model.counts)
    return engine(step, len(model.vocabulary), model.counts is not None)
