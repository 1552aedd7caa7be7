"""A model as one function, and the engine that reads and writes with it.

    logits, state = step(ids, state)

The step of a network is in `charrnn.generation.numpy_network`; here is one in torch, for GPUs and
other cells. Functions make new steps from them: the mean of several networks, and the mixture with
counts. The extra ``fast`` adds a compiled engine in int8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from charrnn import plugins
from charrnn.counts.mixing import Counts, CountState
from charrnn.counts.recent import RecentContexts
from charrnn.errors import InputError, format_install_command
from charrnn.generation.draw import Array, Batch, Floats, Ids, draw, log_softmax
from charrnn.generation.numpy_network import CELLS, Step, make_network_step
from charrnn.models.trained import (
    State,
    Trained,
    TrainedEnsemble,
    TrainedModel,
    average_log_probs,
)
from charrnn.processors import get_torch_pool, limit_blas_threads

_FEW = 4  # up to this number of streams, the counts are read stream by stream


def select_streams(state: State, streams: Sequence[int]) -> State:
    """Return a copy of the state of some streams, in this order. A stream may occur repeatedly."""
    return [tuple(vectors[streams] for vectors in layer) for layer in state]


def concat_states(states: Sequence[State]) -> State:
    """Return the streams of several states as one state."""
    return [
        tuple(np.concatenate(vectors) for vectors in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]


# -- steps -----------------------------------------------------------------------------------------


def make_torch_step(model: TrainedModel, device: str) -> Step:
    """Return the step of one network in torch, for all cells.

    The state stays on the device. The logits of all streams are copied to the CPU at once.
    """
    import torch

    from charrnn.networks.network import make_network

    network = make_network(model).eval().requires_grad_(False).to(device)

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Array | None, State]:
        # A single stream gets its first axis back.
        N = ids.size
        characters = torch.as_tensor(ids.reshape(N, 1), device=device)
        layers = [
            tuple(torch.as_tensor(vectors, device=device).reshape(N, -1) for vectors in layer)
            for layer in state
        ]
        logits, layers = network(characters, layers)
        after = [tuple(vectors.reshape(*ids.shape, -1) for vectors in layer) for layer in layers]
        return logits.cpu().numpy().reshape(*ids.shape, -1) if needs_logits else None, after

    return step


def average_steps(steps: Sequence[Step], model: TrainedEnsemble) -> Step:
    """Return the step of an ensemble, whose logits are log-probabilities, from its members'."""
    ends = np.cumsum([member.architecture.num_layers for member in model.members]).tolist()
    parts, log_shares = list(map(slice, [0, *ends], ends)), np.log(model.shares)

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Floats | None, State]:
        results = [f(ids, state[part], needs_logits) for f, part in zip(steps, parts, strict=True)]
        after = [layer for _, layers in results for layer in layers]
        if not needs_logits:
            return None, after
        log_probs = [log_softmax(logits) for logits, _ in results]
        return average_log_probs(log_probs, log_shares), after

    return step


def mix_with_counts(network: Step, counts: Counts) -> Step:
    """Return the step of a mixture with counts (`charrnn.counts.mixing`).

    The last entry of its state is the counts' state. The network's step is not called if its weight
    is always 0.
    """
    recent = RecentContexts(counts)

    def step(ids: Ids, state: State, needs_logits: bool = True) -> tuple[Any, State]:
        *layers, before = state
        logits, reader = None, recent if ids.size <= _FEW else counts
        if counts.needs_network:
            logits, layers = network(ids, layers, needs_logits)
        after = reader.extend(ids, CountState(*before))
        return reader.mix(after, logits) if needs_logits else None, [*layers, after]

    return step


# -- engines ---------------------------------------------------------------------------------------


class Engine(Protocol):
    """An object that reads and writes N streams. It is safe to share between threads."""

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Read known characters.

        Args:
            ids: (N, T).
            state: before the first character. It is not changed.

        Returns:
            The logits (N, T, V) of the next character after each, and the state after the last.
            The logits of an ensemble or a mixture with counts are log-probabilities.
        """

    def step(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Read one more character ids (N,) of each stream; return like `read`, without the T."""

    def advance(self, ids: Ids, state: State) -> State:
        """Return the state after known characters (N, T)."""

    def write(
        self, ids: Ids, state: State, uniforms: Floats, batch: Batch, needed: Ids | None = None
    ) -> tuple[Ids, State]:
        """Write new characters.

        Args:
            ids: (N,), the last character of each stream, which is not read yet.
            state: before this character. It is not changed.
            uniforms: (N, T), in [0, 1): a random number for each new character.
            batch: the params of the streams. It is changed.
            needed: (N,), the number of characters that each stream needs; by default T. Further
                characters and the state of such a stream are undefined.

        Returns:
            The ids (N, T) of the new characters, and the state before the last of them.

        Raises:
            RunError: the logits are not finite.
        """


class StepEngine:
    """The engine of a step in NumPy. `normalizes`: whether `read` returns log-probabilities."""

    def __init__(self, step: Step, vocabulary_size: int, normalizes: bool) -> None:
        self._step, self._vocabulary_size, self._normalizes = step, vocabulary_size, normalizes

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        logits = np.empty((*ids.shape, self._vocabulary_size), np.float32)
        return logits, self._run(self._read, ids, state, logits)

    def advance(self, ids: Ids, state: State) -> State:
        return self._run(self._read, ids, state)

    def write(
        self, ids: Ids, state: State, uniforms: Floats, batch: Batch, needed: Ids | None = None
    ) -> tuple[Ids, State]:
        written = np.empty(uniforms.shape, np.int64)
        return written, self._run(self._write, ids, state, uniforms, batch, written)

    def step(self, ids: Ids, state: State) -> tuple[Array, State]:
        logits = np.empty((len(ids), self._vocabulary_size), np.float32)
        return logits, self._run(self._read_one, ids, state, logits)

    def _run(self, method: Callable[..., State], *arguments: Any) -> State:
        return method(*arguments)

    @np.errstate(all="ignore")
    def _read_one(self, ids: Ids, state: State, logits: Array) -> State:
        streams = _select_all(len(ids))
        state = [tuple(vectors[streams] for vectors in layer) for layer in state]
        scores, state = self._step(ids[streams], state)
        logits[streams] = log_softmax(scores) if self._normalizes else scores
        return _restore_first_axis(state, len(ids))

    @limit_blas_threads()
    @np.errstate(all="ignore")
    def _read(self, ids: Ids, state: State, logits: Array | None = None) -> State:
        """Return the state after known characters, and fill `logits` (N, T, V)."""
        streams = _select_all(len(ids))
        state = select_streams(state, streams)
        for t, column in enumerate(ids[streams].T):
            scores, state = self._step(column, state, logits is not None)
            if logits is not None:
                logits[streams, t] = log_softmax(scores) if self._normalizes else scores
        return _restore_first_axis(state, len(ids))

    @limit_blas_threads()
    @np.errstate(all="ignore")
    def _write(self, ids: Ids, state: State, uniforms: Floats, batch: Batch, written: Ids) -> State:
        """Fill `written` (N, T) with new characters, and return the state before the last."""
        N, streams = len(ids), _select_all(len(ids))
        state, ids, columns = select_streams(state, streams), ids[streams], written[streams].T
        batch = batch.squeeze() if N == 1 else batch
        for t, column in enumerate(uniforms[streams].T):
            logits, state = self._step(ids, state)
            columns[t] = ids = draw(logits, column, batch)
            if batch.depends_on_text:
                batch.append(ids)
        return _restore_first_axis(state, N)


def _select_all(streams: int) -> Any:
    """Return an index of all streams, which removes the first axis of a single stream."""
    return 0 if streams == 1 else slice(None)


def _restore_first_axis(state: State, streams: int) -> State:
    return [tuple(v[None] for v in layer) for layer in state] if streams == 1 else state


class TorchEngine(StepEngine):
    """The engine of a step in torch. It runs in a thread in which torch uses one core."""

    def _run(self, method: Callable[..., State], *arguments: Any) -> State:
        import torch

        from charrnn.networks.precision import set_float32_precision

        def call() -> State:
            with torch.inference_mode(), set_float32_precision(tf32=False):
                return method(*arguments)

        state = get_torch_pool(1).submit(call).result()
        return [
            tuple(v.cpu().numpy() if isinstance(v, torch.Tensor) else v for v in layer)
            for layer in state
        ]


def make_engine(
    model: Trained, name: str = "auto", precision: int = 32, device: str = "cpu"
) -> Engine:
    """Return the engine of a name (auto, numpy or torch) for a model or an ensemble.

    Args:
        precision: bits of a weight: 32, or 8 (int8), which the extra ``fast`` computes.
        device: cpu, or a device of torch, on which only torch computes.

    Raises:
        InputError: the engine cannot step the model, or is not installed.
    """
    if precision == 8:
        return _make_int8_engine(model, name)
    engine = StepEngine
    kinds = [m.architecture.kind for m in model.members if m.architecture.kind not in CELLS]
    if name == "torch" or (name == "auto" and (kinds or device != "cpu")):
        engine, steps = TorchEngine, [make_torch_step(member, device) for member in model.members]
    elif kinds:
        raise InputError(
            f"engine={name}: has no kernel for a model of kind {kinds[0]}; use torch, or leave the "
            f"option out"
        )
    else:
        steps = [make_network_step(member) for member in model.members]
    step = average_steps(steps, model) if isinstance(model, TrainedEnsemble) else steps[0]
    if model.counts is not None:
        step = mix_with_counts(step, model.counts)
    return engine(step, len(model.vocabulary), model.counts is not None)


def _make_int8_engine(model: Trained, name: str) -> Engine:
    """Return the engine of `precision=8`. Raise InputError if there is none for the model."""
    if name != "auto":
        raise InputError(f"precision=8: engine={name} computes in float32 only; leave engine= out")
    if len(model.members) > 1:
        problem = "writes with one model, not with an ensemble; "
    else:
        try:
            for extra in plugins.import_modules(plugins.ENGINES):
                engine: Engine = extra.Int8Engine(model)
                return engine
            problem = "needs the extra fast, which is not installed; "
        except ImportError as error:
            problem = f"needs numba ({error}); {format_install_command('fast')}, or "
    raise InputError(f"precision=8: {problem}leave the option out")
