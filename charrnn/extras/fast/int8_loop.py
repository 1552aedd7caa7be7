"""A network in int8 and the draw as one compiled loop, which `fast_engines` calls.

A text is the same on every machine. The rows of each matrix are int8 with a scale
(`charrnn.generation.int8_rows`), and the vectors are rounded in the same way, so their products
are sums of integers, which are the same in any order. All else is float32, for which IEEE 754
defines the result of each operation. The exponential, the logarithm and tanh are made of these
operations, because libraries differ between machines. The weights of a draw are multiples of
2**-30, whose sums in float64 are exact.

A chunk of characters is one call, which releases Python's lock. Reading the weights limits the
speed of one stream, so four streams read them together.

"""

from __future__ import annotations

from typing import Any

import numpy as np

from charrnn.extras.fast.compiled_counts import extend_state, mix
from charrnn.extras.fast.compiled_draw import count_blanks, draw
from charrnn.extras.fast.compiling import SOURCES, keep_compiled
from charrnn.extras.fast.int8_network import add_products, step
from charrnn.extras.fast.vnni import GROUP_SIZE
from charrnn.generation.draw import RUN_LENGTH


def _make_write(sources: str) -> Any:
    @keep_compiled
    def write(  # type: ignore[no-untyped-def]
        network, counts, hidden, cell, count_state, ids, uniforms, bias, greedy, limits, blanks,
        runs, needed, written, reads, read_logits,
    ):  # fmt: skip
        """Write T characters in each of B streams, B <= 4. All states are changed in place.

        Args:
            counts: a `CompiledCounts`.
            hidden, cell: (L, B, H), the state before `ids`; afterwards before the last new
                character.
            count_state: the `CountState` at the same place; its nodes are (B, 0) without counts.
            ids: (B,), the last characters; afterwards the last new characters.
            bias: (B, V), added to the logits; minus infinity for banned characters.
            greedy, limits, blanks, runs: like in `draw.Batch`; the runs (B,) are changed in place.
            needed: (B,), the number of characters that each stream needs.
            written: (B, T), filled with the new characters.
            reads: whether the characters in `written` are read, and nothing is written.
            read_logits: (B, T, V), filled with the logits after each character that is read;
                (B, 0, V) if they are not needed.

        Returns:
            False if the logits are not finite.
        """
        sources  # noqa: B018  (part of the key in numba's cache)
        L, B, H = hidden.shape
        V, width = len(network.decoder_bias), network.row_scales.shape[1]
        z, hidden_z = np.zeros((B, width), np.float32), np.zeros((B, width), np.float32)
        bytes_ = np.zeros((GROUP_SIZE, H + 16), np.uint8)
        scales = np.zeros(GROUP_SIZE, np.float32)
        outputs = np.empty_like(hidden) if network.skip_sum else hidden
        logits, weights = np.zeros((B, width), np.float32), np.empty(V, np.float64)
        has_counts, p = count_state.nodes.shape[1] > 0, np.empty(V, np.float32)
        needs_network = not has_counts or counts.needs_network
        needs_logits = not reads or read_logits.shape[1] > 0
        for t in range(needed.max()):
            if needs_network:
                step(network, ids, hidden, cell, outputs, z, hidden_z, bytes_, scales)
            if needs_network and needs_logits:
                for b in range(B):
                    for v in range(V):
                        logits[b, v] = network.decoder_bias[v]
                add_products(
                    network.decoder, 0, network.row_scales, 2 * L, not network.skip_sum, outputs,
                    L - 1, logits, bytes_, scales,
                )  # fmt: skip
            for b in range(B):
                if has_counts:
                    extend_state(counts, count_state, b, ids[b])
                if has_counts and needs_logits:
                    mix(counts, count_state, b, p, logits[b, :V])
                if reads:
                    if needs_logits:
                        read_logits[b, t] = logits[b, :V]
                    ids[b] = written[b, t]
                    continue
                for v in range(V):
                    logits[b, v] += bias[b, v]
                is_lifted = 1 if runs[b] >= RUN_LENGTH else 0
                id_ = draw(logits[b, :V], weights, uniforms[b, t], greedy[b], limits[is_lifted, b])
                if id_ < 0:
                    return False
                runs[b] = count_blanks(runs[b], ids[b], id_, blanks)
                written[b, t] = ids[b] = id_
        return True

    return write


write = _make_write(SOURCES)
