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

import numpy as np

from charrnn.extras.fast.compiled_counts import extend_state, mix
from charrnn.extras.fast.compiled_draw import count_blanks, draw
from charrnn.extras.fast.compiled_trie import extend_word, subtract_costs
from charrnn.extras.fast.compiling import keep_compiled
from charrnn.extras.fast.int8_network import decode, make_memory, step
from charrnn.generation.draw import RUN_LENGTH


@keep_compiled
def write(  # type: ignore[no-untyped-def]
    network, counts, words, streams, draws, needed, written, reads, read_logits
):
    """Write T characters in each of B streams, B <= 4.

    Args:
        counts: a `CompiledCounts`.
        words: the `CompiledWords`.
        streams: the `Streams`, changed in place; afterwards their ids are the last new
            characters.
        draws: the `Draws`; its runs, nodes and debts are changed in place.
        needed: (B,), the number of characters that each stream needs.
        written: (B, T), filled with the new characters.
        reads: whether the characters in `written` are read, and nothing is written.
        read_logits: (B, T, V), filled with the logits after each character that is read;
            (B, 0, V) if they are not needed.

    Returns:
        False if the logits are not finite.
    """
    ids, _, _, state = streams
    uniforms, bias, greedy, limits, blanks, runs, nodes, costs, ends, debts = draws
    memory, V = make_memory(network, streams), len(network.decoder_bias)
    logits, weights = np.zeros_like(memory.z), np.empty(V, np.float64)
    by_letter = np.empty(words.width, np.float32)
    has_counts, p = state.nodes.shape[1] > 0, np.empty(V, np.float32)
    needs_network = not has_counts or counts.needs_network
    needs_logits = not reads or read_logits.shape[1] > 0
    for t in range(needed.max()):
        if needs_network:
            step(network, streams, memory)
        if needs_network and needs_logits:
            decode(network, memory, logits)
        for b in range(len(ids)):
            if has_counts:
                extend_state(counts, state, b, ids[b])
            if has_counts and needs_logits:
                mix(counts, state, b, p, logits[b, :V])
            if reads:
                if needs_logits:
                    read_logits[b, t] = logits[b, :V]
                ids[b] = written[b, t]
                continue
            for v in range(V):
                logits[b, v] += bias[b, v]
            subtract_costs(words, nodes[b], costs[b], by_letter, logits[b, :V])
            limits_of_stream = limits[1 if runs[b] >= RUN_LENGTH else 0, b]
            id_ = draw(
                logits[b, :V], weights, uniforms[b, t], greedy[b], limits_of_stream,
                ends, debts[b], ids[b],
            )  # fmt: skip
            if id_ < 0:
                return False
            runs[b] = count_blanks(runs[b], ids[b], id_, blanks)
            nodes[b] = extend_word(words, nodes[b], id_)
            written[b, t] = ids[b] = id_
    return True
