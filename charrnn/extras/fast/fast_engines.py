"""The engine of the extra ``fast``: network and draw as one compiled loop in int8.

It steps one model with one of charrnn's cells. Many streams are spread over threads, four together
in each. numba is imported when an engine is made.

numba keeps the machine code in the package's ``__pycache__``, or in the user's cache if that
folder cannot be written. If neither can be written, each process compiles anew.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts, CountState
from charrnn.counts.words import WordTable
from charrnn.errors import InputError, make_non_finite_error
from charrnn.generation.draw import Array, Batch, Floats, Ids, log_softmax
from charrnn.generation.engines import concat_states
from charrnn.generation.int8_rows import quantize_model, quantize_rows
from charrnn.generation.numpy_network import fold_weights
from charrnn.models.trained import State, TrainedModel, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.say import say

_LARGEST_WEIGHT = 1e30  # below it no sum of a network's numbers overflows
_BLOCK = 16  # rows that are multiplied together
_NO_STATE = CountState(np.zeros((0, 0), np.int32), *np.zeros((2, 0), np.int32))
_QUIET_SECONDS = 2.0  # after which a line says that the loop is being compiled


def _multiply_quantized(left: Any, right: Any) -> npt.NDArray[np.float64]:
    """Return left @ right.T of two matrices with rounded rows, exact but for the last rounding."""
    a, b = quantize_rows(left.astype(np.float32)), quantize_rows(right.astype(np.float32))
    sums: Any = a.int8.astype(np.float64) @ b.int8.T.astype(np.float64)
    return sums * (a.scales[:, None].astype(np.float64) * b.scales)


class Int8Engine:
    """The `Engine` in int8. Its streams are spread over the processor's cores.

    Four neighbouring streams read the weights together until the last of them ends. So streams that
    need the same number of characters should be neighbours.

    Args:
        vnni: whether it multiplies with AVX-512 VNNI; by default if the processor has it.

    Raises:
        ImportError: numba is not installed, or does not fit this NumPy.
        InputError: the compiled loop lacks the model's kind of cell.
        RunError: the weights are too large to compute with.
    """

    def __init__(self, model: TrainedModel, *, vnni: bool | None = None) -> None:
        from charrnn.extras.fast.int8_loop import write
        from charrnn.extras.fast.int8_network import KERNELS, Network
        from charrnn.extras.fast.vnni import GROUP_SIZE

        if (kind := model.architecture.kind) not in KERNELS:
            raise InputError(
                f"precision=8: has no kernel for a model of kind {kind}; leave the option out"
            )
        self._loop, self._group_size = write, GROUP_SIZE
        if any(not (np.abs(weight) < _LARGEST_WEIGHT).all() for weight in model.weights.values()):
            raise make_non_finite_error()
        folded = fold_weights(quantize_model(model), _multiply_quantized)
        architecture = folded.architecture
        L, H = architecture.num_layers, architecture.hidden_size
        GH = folded.table.shape[1]
        biases = np.stack([np.zeros(GH, np.float32), *folded.biases])
        hidden_bias = np.array(folded.hidden_bias or np.zeros((L, H)), np.float32)
        output_scales = np.array(folded.scales or np.ones((L, H)), np.float32)
        stacks = (
            np.stack([np.zeros((GH, H), np.float32), *folded.inputs]),
            np.stack(folded.recurrent),
            folded.decoder[None],
        )
        row_scales = np.zeros((2 * L + 1, _fill_up(max(GH, len(folded.decoder)))), np.float32)
        pack = pack_for_vnni if (compiles_vnni() if vnni is None else vnni) else _align
        rows = [[quantize_rows(matrix) for matrix in stack] for stack in stacks]
        inputs, recurrent, decoder = (
            pack(np.stack([each.int8 for each in stack])) for stack in rows
        )
        for row, each in zip(row_scales, itertools.chain(*rows), strict=True):
            row[: len(each.scales)] = each.scales
        self.network = Network(
            KERNELS[kind], folded.table, inputs, recurrent, decoder, row_scales,
            biases, folded.decoder_bias, hidden_bias, architecture.skip == "sum", output_scales,
        )  # fmt: skip
        self._vocabulary, self._layers = model.vocabulary, L
        self._counts, self._has_counts = _to_compiled_counts(model.counts), model.counts is not None
        self._compile(zero_state(model, 1))

    def _compile(self, state: State) -> None:
        """Compile the loop, or load its machine code, and say how long compiling takes."""
        start, is_said = time.monotonic(), threading.Event()

        def announce() -> None:
            if self._loop.stats.cache_misses:  # numba counts a miss before it compiles
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
        # A penalty depends on the text so far, so each character is a call.
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
        # Characters past a stream's length may stay unwritten, and the server reads them again to
        # score the others. So they are 0, which is a valid id.
        written = np.zeros(uniforms.shape, np.int64) if following is None else following
        logits = np.zeros((N, 0, V), np.float32) if logits is None else logits

        def write_group(streams: slice) -> State:
            """Fill `written` and `logits` of some streams, and return their new state."""
            # Arrays of another layout would compile the loop again.
            carried = [
                np.stack([vector[streams] for vector in vectors])  # (L, B, H)
                for vectors in zip(*state[: self._layers], strict=True)
            ]
            count_state = _NO_STATE
            if self._has_counts:
                count_state = CountState(*(np.array(v[streams], np.int32) for v in state[-1]))
            is_finite = call(
                self._loop, self.network, self._counts, carried[0], carried[-1], count_state,
                ids[streams].astype(np.int64), np.ascontiguousarray(uniforms[streams], np.float64),
                bias[streams], batch.greedy[streams],
                np.ascontiguousarray(batch.limits[:, streams]), blanks, runs[streams],
                lengths[streams], written[streams], following is not None, logits[streams],
            )  # fmt: skip
            if not is_finite:
                raise make_non_finite_error()
            layers: State = list(zip(*carried, strict=True))
            return [*layers, count_state] if self._has_counts else layers

        parts = [slice(n, n + self._group_size) for n in range(0, N, self._group_size)]
        if len(parts) == 1:
            return written, write_group(parts[0])
        with ThreadPoolExecutor(min(len(parts), _cores())) as pool:
            return written, concat_states(list(pool.map(write_group, parts)))


def _fill_up(size: int) -> int:
    """Return a number of rows or columns, filled up to whole blocks."""
    return -(-size // _BLOCK) * _BLOCK


def pack_for_vnni(matrices: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Return int8 (L, M, K) in the order in which the loop multiplies them by VNNI.

    Returns:
        (L, M/16, 1 + K/4, 16, 4): blocks of 16 rows. Each contains the initial int32 values of its
        sums, which subtract the 128 that is added to a vector's numbers, and then groups of four
        columns. Rows and columns are filled up to multiples of 16.
    """
    L, M, K = matrices.shape
    filled = np.zeros((L, _fill_up(M), _fill_up(K)), np.int8)
    filled[:, :M, :K] = matrices
    begin = -128 * filled.sum(2, dtype=np.int32)
    blocks = filled.reshape(L, -1, _BLOCK, filled.shape[2] // 4, 4).swapaxes(2, 3)
    begin_bytes = begin.view(np.int8).reshape(L, -1, 1, _BLOCK, 4)
    return _align(np.concatenate([begin_bytes, blocks], axis=2))


def _align(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy that starts at a cache line."""
    room = np.empty(array.nbytes + 64, np.uint8)
    first = -room.ctypes.data % 64
    copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _to_compiled_counts(counts: Counts | None) -> Any:
    """Return counts as the loop takes them, in the same types for all counts."""
    from charrnn.extras.fast.compiled_counts import CompiledCounts

    ids, shares = np.zeros(0, np.int32), np.zeros(0, np.float32)
    if counts is None:
        by_place = np.zeros((2, 1, 2), np.float32)
        return CompiledCounts(
            ids, ids, shares, shares, shares, by_place, False, 0, ids, ids, shares,
            ids, ids, ids, shares, ids, ids, shares,
        )  # fmt: skip
    table, runs, words = counts.table, counts.runs, counts.words
    if words is None:
        letters = np.zeros(table.vocabulary_size, np.int32)
        words = WordTable(letters, np.zeros(1, np.int32), ids, ids)
    children = np.searchsorted(words.keys, np.arange(len(words.sizes) + 1) * words.width)
    int32 = functools.partial(np.array, dtype=np.int32)
    return CompiledCounts(
        int32(table.characters), int32(table.starts), table.mass, table.backoff, table.unigram,
        counts.by_place, counts.needs_network,
        runs.least, int32(runs.characters), int32(runs.lengths), runs.odds,
        int32(words.letters), int32(words.starts), int32(words.characters), words.ratios,
        int32(children), int32(words.keys % words.width),
        np.array(counts.weights.words, np.float32),
    )  # fmt: skip


def call(function: Callable[..., bool], *arguments: object) -> bool:
    """Return a compiled function's value, whether or not its machine code can be kept."""
    try:
        return function(*arguments)
    except OSError:  # The cache could not be written, but the machine code is in memory now.
        return function(*arguments)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compiles_vnni() -> bool:
    """Return whether numba compiles for AVX-512 VNNI: 64 products of bytes per instruction."""
    import numba
    from llvmlite import binding

    config: Any = numba.config
    if config.CPU_FEATURES is not None:  # set by NUMBA_CPU_FEATURES
        return "+avx512vnni" in config.CPU_FEATURES.split(",")
    if config.CPU_NAME is not None or not config.ENABLE_AVX:
        return False
    return bool(binding.get_host_cpu_features().get("avx512vnni"))
