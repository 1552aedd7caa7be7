"""The engine of the extra ``fast``: network and draw as one compiled loop in int8.

It steps one model with one of charrnn's cells. Many streams are spread over threads, four together
in each.

numba keeps the machine code in the package's ``__pycache__``, or in the user's cache if that
folder cannot be written. If neither can be written, each process compiles anew.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from charrnn.counts.mixing import CountState
from charrnn.errors import make_non_finite_error
from charrnn.extras.fast.compiled_counts import compile_counts
from charrnn.extras.fast.compiled_draw import Draws
from charrnn.extras.fast.compiled_trie import compile_words
from charrnn.extras.fast.compiling import call
from charrnn.extras.fast.int8_loop import write
from charrnn.extras.fast.int8_network import Streams
from charrnn.extras.fast.int8_weights import make_int8_network
from charrnn.extras.fast.vnni import GROUP_SIZE
from charrnn.generation.debts import find_ends
from charrnn.generation.draw import Array, Batch, Floats, Ids, log_softmax
from charrnn.models.trained import State, TrainedModel, concat_states, find_known_words, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.say import say

_NO_COUNTS = CountState(np.zeros((0, 0), np.int32), *np.zeros((2, 0), np.int32))
_QUIET_SECONDS = 2.0  # after which a line says that the loop is being compiled


class Int8Engine:
    """The `Engine` in int8. Its streams are spread over the processor's cores.

    Four neighbouring streams read the weights together until the last of them ends. So streams that
    need the same number of characters should be neighbours.

    Args:
        vnni: whether it multiplies with AVX-512 VNNI; by default if the processor has it.

    Raises:
        InputError: the compiled loop lacks the model's kind of cell.
        RunError: the weights are too large to compute with.
    """

    def __init__(self, model: TrainedModel, *, vnni: bool | None = None) -> None:
        self.network, self._counts = make_int8_network(model, vnni), compile_counts(model.counts)
        self._vocabulary, self._layers = model.vocabulary, model.architecture.num_layers
        self._words = compile_words(find_known_words(model), len(model.vocabulary))
        self._ends = find_ends(model.vocabulary)
        self._has_counts = model.counts is not None
        self._compile(zero_state(model, 1))

    def _compile(self, state: State) -> None:
        """Compile the loop, or load its machine code. Print how long compiling takes."""
        start, is_said = time.monotonic(), threading.Event()

        def announce() -> None:
            if write.stats.cache_misses:  # numba counts a miss before it compiles
                say("precision=8: compiling, which takes some 15 seconds; kept for the next time")
                is_said.set()

        note = threading.Timer(_QUIET_SECONDS, announce)
        note.start()
        try:
            batch = Batch([SamplingParams()], self._vocabulary, [[]])
            self.write(np.zeros(1, np.int64), state, np.zeros((1, 1)), batch)
        finally:
            note.cancel()
        if is_said.is_set():
            say(f"precision=8: compiled in {time.monotonic() - start:.0f} seconds")

    def write(
        self, ids: Ids, state: State, uniforms: Floats, batch: Batch, needed: Ids | None = None
    ) -> tuple[Ids, State]:
        N, V = len(ids), len(self._vocabulary)
        lengths = np.full(N, uniforms.shape[1]) if needed is None else needed
        if not batch.dry:
            return self._write(ids, state, uniforms, batch, lengths)
        # A DRY penalty depends on the text so far, so each character is a call, with the penalty
        # in its bias. `needed` would only save work, so here all streams write T characters.
        written, bias, one = np.zeros(uniforms.shape, np.int64), batch.bias, np.ones(N, np.int64)
        for t in range(uniforms.shape[1]):
            penalties = batch.compute_penalties((N, V)).astype(np.float32)
            batch.bias = (0 if bias is None else bias) - penalties
            new, state = self._write(ids, state, uniforms[:, t : t + 1], batch, one)
            written[:, t] = ids = new[:, 0]
            batch.append(ids)
        return written, state

    def step(self, ids: Ids, state: State) -> tuple[Array, State]:
        logits, state = self.read(ids[:, None], state)
        return logits[:, 0], state

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        logits = np.zeros((*ids.shape, len(self._vocabulary)), np.float32)
        after = self._read(ids, state, logits)
        return log_softmax(logits).astype(np.float32) if self._has_counts else logits, after

    def advance(self, ids: Ids, state: State) -> State:
        return self._read(ids, state, np.zeros((len(ids), 0, len(self._vocabulary)), np.float32))

    def _read(self, ids: Ids, state: State, logits: Array) -> State:
        if not ids.size:
            return state
        following = np.zeros(ids.shape, np.int64)
        following[:, :-1] = ids[:, 1:]
        batch = Batch([SamplingParams()] * len(ids), self._vocabulary, ids)
        lengths = np.full(len(ids), ids.shape[1])
        uniforms = np.zeros(ids.shape)
        return self._write(ids[:, 0], state, uniforms, batch, lengths, following, logits)[1]

    def _write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        batch: Batch,
        lengths: Ids,
        following: Ids | None = None,
        logits: Array | None = None,
    ) -> tuple[Ids, State]:
        """Write, or read, with the compiled loop.

        Args:
            lengths: (N,), how many characters each stream needs.
            following: (N, T), characters that are read instead of written.
            logits: (N, T, V), filled with the logits after each character that is read; or
                (N, 0, V).
        """
        N, V = len(ids), len(self._vocabulary)
        bias = np.zeros((N, V), np.float32) if batch.bias is None else batch.bias
        blanks, runs = np.array([*batch.blanks], np.int64), np.array(batch.runs)
        nodes, costs = np.zeros(N, np.int64), np.zeros(N, np.float32)
        if batch.words is not None:
            nodes[:], costs[:] = batch.words.nodes, batch.words.costs
        debts = np.zeros((N, 0)) if batch.debts is None else batch.debts.values
        # Characters past a stream's length may stay unwritten, and the server reads them again to
        # score the others. So they are 0, which is a valid id.
        written = np.zeros(uniforms.shape, np.int64) if following is None else following
        logits = np.zeros((N, 0, V), np.float32) if logits is None else logits

        def write_group(part: slice) -> State:
            """Fill `written` and `logits` of some streams, and return their new state."""
            streams = self._select_streams(ids, state, part)
            # Arrays of another layout would compile the loop again.
            draws = Draws(
                np.ascontiguousarray(uniforms[part], np.float64), bias[part], batch.greedy[part],
                np.ascontiguousarray(batch.limits[:, part]), blanks, runs[part],
                nodes[part], costs[part], self._ends, debts[part],
            )  # fmt: skip
            if not call(
                write, self.network, self._counts, self._words, streams, draws, lengths[part],
                written[part], following is not None, logits[part],
            ):  # fmt: skip
                raise make_non_finite_error()
            vectors = (streams.hidden, streams.cell)[: len(state[0])]
            layers: State = list(zip(*vectors, strict=True))
            return [*layers, streams.counts] if self._has_counts else layers

        parts = [slice(n, n + GROUP_SIZE) for n in range(0, N, GROUP_SIZE)]
        if len(parts) == 1:
            return written, write_group(parts[0])
        with ThreadPoolExecutor(min(len(parts), _cores())) as pool:
            return written, concat_states(list(pool.map(write_group, parts)))

    def _select_streams(self, ids: Ids, state: State, part: slice) -> Streams:
        """Return copies of the last characters and states of some streams."""
        hidden, *cell = (
            np.stack([vector[part] for vector in vectors])  # (L, B, H)
            for vectors in zip(*state[: self._layers], strict=True)
        )
        counts = _NO_COUNTS
        if self._has_counts:
            counts = CountState(*(np.array(field[part], np.int32) for field in state[-1]))
        # Without a cell, the compiled loop needs an array in its place, and ignores it.
        return Streams(ids[part].astype(np.int64), hidden, cell[0] if cell else hidden, counts)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
