"""The engine of the extra ``fast``: network and draw as one compiled loop, in float32 and int8.

It steps one model with one of charrnn's cells. Many streams are spread over threads, four together
in each. numba is imported when an engine is made.

The machine code is cached by numba in the package's ``__pycache__``, or in the user's cache
where that cannot be written; where neither can, it is compiled anew in each process (about
15 s).
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.errors import non_finite_scores
from charrnn.generation.engines import Engine
from charrnn.generation.numpy_engine import State, concat_states
from charrnn.generation.token_sampler import (
    Batch,
    Floats,
    Ids,
    Params,
    dry_penalties,
    each_of,
    log_softmax,
)
from charrnn.generation.weights import Array, FoldedWeights, fold, quantize_rows, quantized
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.say import say

_LARGEST_WEIGHT = 1e30  # in int8: below it no sum of a network's numbers overflows


def compiled_engine(model: TrainedModel, precision: int) -> Engine:
    """The compiled loop.

    Args:
        precision: bits of a weight, 32 or 8.

    Raises:
        ImportError: numba is not there, or does not fit this NumPy.
        RunError: the weights are too large to compute with.
    """
    folded = fold_quantized(model) if precision == 8 else fold(model)
    return NumbaEngine(folded, model.counts, int8=precision == 8)


def fold_quantized(model: TrainedModel) -> FoldedWeights:
    """The weights of a model in int8, folded, the same on every machine.

    Raises:
        RunError: they are too large to compute with.
    """
    for weight in model.weights.values():
        if not (np.abs(weight) < _LARGEST_WEIGHT).all():
            raise non_finite_scores()
    return fold(quantized(model), _product_of_quantized)


def _product_of_quantized(left: Any, right: Any) -> npt.NDArray[np.float64]:
    """left @ right.T of two matrices with rounded rows: exact but for the last rounding."""
    a, b = quantize_rows(left.astype(np.float32)), quantize_rows(right.astype(np.float32))
    sums: Any = a.int8.astype(np.float64) @ b.int8.T.astype(np.float64)
    return sums * (a.scales[:, None].astype(np.float64) * b.scales)


class NumbaEngine:
    """Writes as `NumpyEngine` does, the streams spread over the processor's cores.

    Four streams that stand side by side go through the weights together, as long as one of
    them needs it: of streams that need unlike numbers of characters, those alike belong together.

    Args:
        counts: what is mixed in.
        int8: whether it computes in int8, of the weights of `fold_quantized`.
        vnni: whether it multiplies these by AVX-512 VNNI; None: where there is such a thing.

    Raises:
        ImportError: numba is not there, or does not fit this NumPy.
    """

    def __init__(
        self,
        folded: FoldedWeights,
        counts: Counts | None = None,
        *,
        int8: bool = False,
        vnni: bool | None = None,
    ) -> None:
        from charrnn.extras.fast.numba_loop import KERNELS, TOGETHER, Network, write, write_int8

        self._loop, self._together = write_int8 if int8 else write, TOGETHER
        architecture = folded.architecture
        L, H = architecture.num_layers, architecture.hidden_size
        GH = folded.table.shape[1]
        inputs, biases = np.zeros((L, GH, H), np.float32), np.zeros((L, GH), np.float32)
        for layer in range(1, L):
            inputs[layer], biases[layer] = folded.inputs[layer - 1], folded.biases[layer - 1]
        hidden_bias = np.zeros((L, H), np.float32)
        if folded.hidden_bias:
            hidden_bias[:] = folded.hidden_bias
        output_scales = np.ones((L, H), np.float32)
        if folded.scales:
            output_scales[:] = folded.scales
        matrices: list[npt.NDArray[Any]] = [
            inputs,
            np.stack(folded.recurrent),
            folded.decoder[None],
        ]
        row_scales = np.zeros((2 * L + 1, _filled_up(max(GH, len(folded.decoder)))), np.float32)
        if int8:
            pack = packed_for_vnni if (compiles_vnni() if vnni is None else vnni) else _aligned
            rows = [[quantize_rows(matrix) for matrix in stack] for stack in matrices]
            matrices = [pack(np.stack([each.int8 for each in stack])) for stack in rows]
            for row, each in zip(row_scales, itertools.chain(*rows), strict=True):
                row[: len(each.scales)] = each.scales
        inputs, recurrent, decoder = matrices
        self.network = Network(
            KERNELS[architecture.kind], folded.table, inputs, recurrent, decoder, row_scales,
            biases, folded.decoder_bias, hidden_bias, architecture.skip == "sum", output_scales,
        )  # fmt: skip
        self._vocabulary, self._layers = folded.vocabulary, L
        self._counts, self._has_counts = _compiled_counts(counts), counts is not None
        nodes = () if counts is None else ((counts.table.zero_state(1),),)
        state = [*architecture.zero_state(1), *nodes]
        # compiles, unless the machine code was kept
        text = "numba: compiling the sampler, which is kept for the next time"
        note = threading.Timer(1.0, say, [text])
        note.start()
        try:
            self._write(np.zeros(1, np.int64), state, np.zeros((1, 1)), [SamplingParams()])
        finally:
            note.cancel()

    def write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        params: Params,
        needed: Ids | None = None,
        texts: Sequence[Ids] | None = None,
    ) -> tuple[Ids, State]:
        """As `NumpyEngine.write`."""
        each = each_of(params, len(ids))
        if not any(params.dry_multiplier for params in each):
            return self._write(ids, state, uniforms, each, needed)
        # a penalty goes by the text so far, so that each character is a call
        strings = ["".join(map(chr, text)) for text in (ids[:, None] if texts is None else texts)]
        written = np.zeros(uniforms.shape, np.int64)
        for t in range(uniforms.shape[1]):
            penalties = np.zeros((len(ids), len(self._vocabulary)), np.float32)
            for row, string, params in zip(penalties, strings, each, strict=True):
                if params.dry_multiplier:
                    for id_, penalty in dry_penalties(string, params).items():
                        row[id_] = penalty
            new, state = self._write(ids, state, uniforms[:, t : t + 1], each, penalties=penalties)
            written[:, t] = ids = new[:, 0]
            strings = [string + chr(id_) for string, id_ in zip(strings, ids, strict=True)]
        return written, state

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`."""
        logits = np.zeros((*ids.shape, len(self._vocabulary)), np.float32)
        after = self._read(ids, state, logits)
        return log_softmax(logits).astype(np.float32) if self._has_counts else logits, after

    def advance(self, ids: Ids, state: State) -> State:
        """As `NumpyEngine.advance`."""
        return self._read(ids, state, np.zeros((len(ids), 0, len(self._vocabulary)), np.float32))

    def _read(self, ids: Ids, state: State, logits: Array) -> State:
        if not ids.size:
            return state
        following = np.zeros(ids.shape, np.int64)
        following[:, :-1] = ids[:, 1:]
        each = [SamplingParams()] * len(ids)
        return self._write(
            ids[:, 0], state, np.zeros(ids.shape), each, following=following, logits=logits
        )[1]

    def _write(
        self,
        ids: Ids,
        state: State,
        uniforms: Floats,
        each: Sequence[SamplingParams],
        needed: Ids | None = None,
        penalties: Array | None = None,
        following: Ids | None = None,
        logits: Array | None = None,
    ) -> tuple[Ids, State]:
        """Write, or read, with what is compiled.

        Args:
            penalties: (N, V), what the logits lose.
            following: (N, T), what is read instead of being written.
            logits: (N, T, V), which become those after what is read; (N, 0, V): none.

        Raises:
            RunError: the logits are not numbers.
        """
        N, V = len(ids), len(self._vocabulary)
        batch = Batch(each, N, self._vocabulary)
        bias = np.zeros((N, V), np.float32) if batch.bias is None else batch.bias
        if penalties is not None:
            bias = bias - penalties
        scale = batch.scale[:, 0].copy()
        # what is left out is an id, too
        written = np.zeros(uniforms.shape, np.int64) if following is None else following
        logits = np.zeros((N, 0, V), np.float32) if logits is None else logits
        lengths = np.full(N, uniforms.shape[1]) if needed is None else needed

        def write_together(streams: slice) -> State:
            # all laid out always alike: for another layout the loop would be compiled again
            carried = [
                np.stack([vector[streams] for vector in vectors])  # (L, B, H)
                for vectors in zip(*state[: self._layers], strict=True)
            ]
            nodes = np.zeros((len(ids[streams]), 0), np.int32)
            if self._has_counts:
                nodes = np.array(state[-1][0][streams], np.int32)
            are_numbers = call(
                self._loop, self.network, self._counts, carried[0], carried[-1], nodes,
                ids[streams].astype(np.int64), np.ascontiguousarray(uniforms[streams], np.float64),
                bias[streams], batch.greedy[streams], scale[streams], batch.limits[streams],
                lengths[streams], written[streams], following is not None, logits[streams],
            )  # fmt: skip
            if not are_numbers:
                raise non_finite_scores()
            layers: State = list(zip(*carried, strict=True))
            return [*layers, (nodes,)] if self._has_counts else layers

        parts = [slice(n, n + self._together) for n in range(0, N, self._together)]
        if len(parts) == 1:
            return written, write_together(parts[0])
        with ThreadPoolExecutor(min(len(parts), _cores())) as pool:
            return written, concat_states(list(pool.map(write_together, parts)))


_BLOCK = 16  # rows that are multiplied together


def _filled_up(size: int) -> int:
    """A number of rows or columns, filled up to whole blocks."""
    return -(-size // _BLOCK) * _BLOCK


def packed_for_vnni(matrices: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """int8 (L, M, K) in the order in which the loop multiplies them by VNNI.

    Returns:
        (L, M/16, 1 + K/4, 16, 4): of 16 rows, which are a block, first the int32 with which their
        sums begin, as a vector's numbers are given 128 more; then four columns after another. Rows
        and columns are filled up to multiples of 16.
    """
    L, M, K = matrices.shape
    filled = np.zeros((L, _filled_up(M), _filled_up(K)), np.int8)
    filled[:, :M, :K] = matrices
    begin = -128 * filled.sum(2, dtype=np.int32)
    blocks = filled.reshape(L, -1, _BLOCK, filled.shape[2] // 4, 4).swapaxes(2, 3)
    begin_bytes = begin.view(np.int8).reshape(L, -1, 1, _BLOCK, 4)
    return _aligned(np.concatenate([begin_bytes, blocks], axis=2))


def _aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that begins with a line of the cache."""
    room = np.empty(array.nbytes + 64, np.uint8)
    first = -room.ctypes.data % 64
    copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _compiled_counts(counts: Counts | None) -> tuple[npt.NDArray[Any], ...]:
    """As the loop takes them, in the same types whatever the table's are."""
    if counts is None:
        ids, shares = np.zeros(0, np.int32), np.zeros(0, np.float32)
        return ids, ids, shares, shares, shares, ids, np.zeros((1, 2), np.float32)
    table = counts.table
    trie = (np.ascontiguousarray(each, np.int32) for each in (table.characters, table.starts))
    return *trie, table.mass, table.backoff, table.unigram, table.runs, counts.by_length


def call(function: Callable[..., bool], *arguments: object) -> bool:
    """A compiled function's value, whether or not its machine code can be kept."""
    try:
        return function(*arguments)
    except OSError:
        # compiled, but there was no room for the cache; the next call finds it in memory
        return function(*arguments)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compiles_vnni() -> bool:
    """Whether what numba compiles may use AVX-512 VNNI: 64 products of bytes an instruction.

    Raises:
        ImportError: numba is not there.
    """
    import numba
    from llvmlite import binding

    config: Any = numba.config
    if config.CPU_FEATURES is not None:  # set by NUMBA_CPU_FEATURES
        return "+avx512vnni" in config.CPU_FEATURES.split(",")
    if config.CPU_NAME is not None or not config.ENABLE_AVX:
        return False
    return bool(binding.get_host_cpu_features().get("avx512vnni"))
