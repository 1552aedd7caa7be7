"""The network stepped with NumPy alone: what writes a text a moment after the command.

A step is a list of NumPy calls, made once for a number of streams, each with its operands
and its output bound: nothing is allocated and little is looked up per character. Which calls,
and how few, is `numpy_layers`'s business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from charrnn.generation.numpy_layers import KERNELS, Call, Layer
from charrnn.generation.state import State, joined, rows_of
from charrnn.generation.token_sampler import Floats, Ids, Params, TokenSampler, each_of
from charrnn.generation.weights import Array, Folded
from charrnn.text.vocabulary import Vocabulary

# A character's products are over in microseconds. Threads of the BLAS would meet after each, and
# wait there for any that another program keeps from its core: with both cores busy, 4 streams of
# 2 x 128 wrote 500 characters a second on two threads, and 23,600 on one.
on_one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")
# Below this a product with a few vectors takes longer than one product for each
_TOGETHER_FROM = 4


class Stepped(Protocol):
    """N streams that are stepped together."""

    def take_in(self, ids: Ids) -> None:
        """Step each over one character (N,)."""

    def scores(self) -> Array | Floats:
        """The logits (N, V) of the next character, or what their softmax does not tell apart."""

    def state(self) -> State: ...


class SteppingEngine(ABC):
    """What steps N streams a character at a time, whatever it makes of one."""

    @abstractmethod
    def steps(self, state: State) -> Stepped:
        """Streams in a state."""

    @abstractmethod
    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Take in characters that are known; see `NumpyEngine.read`."""

    @on_one_thread
    def advance(self, ids: Ids, state: State) -> State:
        """The state after known characters (N, T)."""
        steps = self.steps(state)
        with np.errstate(all="ignore"):
            for t in range(ids.shape[1]):
                steps.take_in(ids[:, t])
        return steps.state()


class NumpyEngine(SteppingEngine):
    """Reads and writes N streams at once; safe to share between threads."""

    def __init__(self, folded: Folded) -> None:
        self.folded = folded
        architecture = folded.architecture
        kernel = KERNELS[architecture.kind]
        self.hidden_scale = np.float32(kernel.hidden_scale)
        with np.errstate(all="ignore"):
            self.layers: list[Layer] = [kernel(folded, i) for i in range(architecture.num_layers)]
            # (V, G*H), as the first layer wants its rows
            self.table = np.ascontiguousarray(kernel.rows(folded.table.T).T)
            self.decoder = np.ascontiguousarray(folded.decoder.T / self.hidden_scale)  # (H, V)
        self.rows = list(self.table)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.folded.vocabulary

    def steps(self, state: State) -> Steps:
        """Streams in a state."""
        return Steps(self, state)

    @on_one_thread
    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Take in characters that are known.

        Args:
            ids: (N, T), from 0.
            state: that before the first of them.

        Returns:
            The logits (N, T, V) of the character after each, and the state after the last.
        """
        steps = Steps(self, state)
        tops = np.empty((*ids.shape, self.folded.architecture.hidden_size), np.float32)
        with np.errstate(all="ignore"):
            for t in range(ids.shape[1]):
                steps.take_in(ids[:, t])
                tops[:, t] = steps.top
            logits = self.decode(tops)
        return logits, steps.state()

    def decode(self, top: Array) -> Array:
        """The logits (..., V) that the top vectors (..., H) of `Steps` give."""
        logits: Array = top @ self.decoder
        logits += self.folded.decoder_bias
        return logits

    @on_one_thread
    def write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        params: Params,
        needed: Ids | None = None,
        texts: Sequence[Ids] | None = None,
    ) -> tuple[Ids, State]:
        """Go on writing.

        Args:
            ids: (N,), from 0: the last character of each stream, not yet taken in.
            state: that before it.
            uniforms: (N, T), in [0, 1): one for each new character.
            params: how, for all streams alike, or for each of the N; where a temperature moves,
                its first.
            needed: (N,), how many of its T characters each stream needs; None: all. Past them
                it may have written anything, or nothing, and its state is without meaning: an
                engine is free to leave them out.
            texts: what stands before in each stream, its last character too, for the penalties;
                None: that alone.

        Returns:
            The new characters' ids (N, T), and the state before the last of them.

        Raises:
            RunError: the logits are not numbers.
        """
        N, T = uniforms.shape
        texts = list(ids[:, None]) if texts is None else texts
        if apart := one_by_one(self.write, ids, state, uniforms, params, texts):
            return apart
        steps = Steps(self, state)
        sampler = TokenSampler(params, self.vocabulary, texts)
        products = np.empty(sampler.scores.shape, np.float32)
        decode = partial(np.matmul, steps.top, self.decoder, products)
        add_bias = partial(np.add, products, self.folded.decoder_bias, sampler.scores)
        written = np.empty((T, N), np.int64)
        with np.errstate(all="ignore"):
            if N == 1:
                last = int(ids[0])
                for t, uniform in enumerate(uniforms[0].tolist()):
                    steps.take_in_one(last)
                    decode()
                    add_bias()
                    written[t] = last = sampler.draw_one(uniform)
            else:
                for t in range(T):
                    steps.take_in(ids)
                    decode()
                    add_bias()
                    ids = written[t]
                    sampler.draw(uniforms[:, t], ids)
        return written.T, steps.state()


def one_by_one(
    write: Callable[..., tuple[Ids, State]],
    ids: Ids,
    state: State,
    uniforms: Floats,
    params: Params,
    texts: Sequence[Ids],
) -> tuple[Ids, State] | None:
    """What `NumpyEngine.write` returns, of streams so few that each is faster alone; else None."""
    N = len(ids)
    if not 1 < N < _TOGETHER_FROM:
        return None
    each = [
        write(ids[[n]], rows_of(state, [n]), uniforms[[n]], one, texts=texts[n : n + 1])
        for n, one in enumerate(each_of(params, N))
    ]
    return np.concatenate([w for w, _ in each]), joined([s for _, s in each])


class Steps:
    """The buffers of N streams, and the calls of a step on them.

    With one stream all arrays lose their first axis: NumPy then does the same for less.

    Attributes:
        top: (N, H), the vectors that the decoder reads (times the engine's `hidden_scale`).
    """

    def __init__(self, engine: NumpyEngine, state: State) -> None:
        self._engine = engine
        architecture = engine.folded.architecture
        H, L = architecture.hidden_size, architecture.num_layers
        N = len(state[0][0])
        axes = () if N == 1 else (N,)
        # for each layer its hidden vectors, and where they are something else what is read of it
        each = 1 if engine.folded.reads_what_is_carried else 2
        hidden = np.zeros((*axes, L * each * H), np.float32)
        vectors = [hidden[..., k * H : (k + 1) * H] for k in range(L * each)]
        self.top = vectors[-1] if architecture.skip != "sum" else np.zeros_like(vectors[-1])
        self._entry = np.empty((*axes, engine.table.shape[1]), np.float32)
        self._calls: list[Call] = []
        self._carried: list[tuple[Array, ...]] = []
        for i, layer in enumerate(engine.layers):
            place = i * each
            below = hidden[..., max(place - 1, 0) * H : (place + 1) * H]
            calls, carried = layer.calls(below, vectors[place], self._entry)
            self._calls += calls
            if each == 2:
                self._calls += self._output_calls(i, vectors[place], vectors[place + 1])
            self._carried.append(carried)
            for buffer, value in zip(carried, state[i], strict=True):
                buffer[...] = value.reshape(buffer.shape)
        hidden *= engine.hidden_scale

    def _output_calls(self, layer: int, h: Array, output: Array) -> list[Call]:
        """The calls that make of a layer's hidden vectors (N, H) what is read of it, and sum it."""
        add = partial(np.add, self.top, output, self.top)
        return [
            partial(np.multiply, h, self._engine.folded.scales[layer], output),
            add if layer else partial(np.copyto, self.top, output),
        ]

    def take_in(self, ids: Ids) -> None:
        """Step each stream over one character (N,)."""
        if self._entry.ndim == 1:
            self.take_in_one(int(ids[0]))
            return
        # mode "clip" because "raise" goes through a copy of the output
        self._engine.table.take(ids, 0, self._entry, "clip")
        for call in self._calls:
            call()

    def take_in_one(self, id_: int) -> None:
        """Step the only stream over one character."""
        np.copyto(self._entry, self._engine.rows[id_])
        for call in self._calls:
            call()

    def scores(self) -> Array:
        """The logits (N, V) of the next character; of one stream (V,)."""
        return self._engine.decode(self.top)

    def state(self) -> State:
        """A copy of what the layers carry now."""
        H = self._engine.folded.architecture.hidden_size
        return [
            (
                (carried[0] / self._engine.hidden_scale).reshape(-1, H),
                *(vector.copy().reshape(-1, H) for vector in carried[1:]),
            )
            for carried in self._carried
        ]
