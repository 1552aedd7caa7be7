"""How often each unit's gates are wide open or shut, as in Karpathy, Johnson and Li (2015).

A gate above 0.9 lets nearly everything through, one below 0.1 nearly nothing. A unit whose
forget gate is mostly open remembers; one whose is mostly shut reads only what is there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from charrnn.cells import OPEN, SHUT
from charrnn.data import Ids
from charrnn.generation.weights import Array, Folded

MOST_CHARACTERS = 5000  # of a longer passage every second, every third, ...
_ROWS_AT_ONCE = 1024


def saturation(
    folded: Folded, ids: Ids, hidden: list[Array]
) -> list[dict[str, npt.NDArray[np.float64]]]:
    """Shares of a passage's characters at which gates are saturated.

    Args:
        ids: (T,) from 0.
        hidden: the hidden vectors (T, H) of each layer along them.

    Returns:
        For each layer, by the letter of a gate that is a sigmoid, for each unit the shares
        (H, 2) of characters at which it is shut and open.
    """
    cell, H = folded.architecture.cell, folded.architecture.hidden_size
    step = -(-len(ids) // MOST_CHARACTERS)
    looked_at = len(range(0, len(ids), step))
    found: list[dict[str, npt.NDArray[np.float64]]] = []
    for layer in range(folded.architecture.num_layers):
        counts = {gate: np.zeros((H, 2)) for gate in cell.sigmoids}
        for start in range(0, len(ids), _ROWS_AT_ONCE * step):
            part = slice(start, start + _ROWS_AT_ONCE * step, step)
            for gate, values in gates(folded, ids, hidden, layer, part).items():
                counts[gate] += np.stack([(values < SHUT).sum(0), (values > OPEN).sum(0)], 1)
        found.append({gate: count / looked_at for gate, count in counts.items()})
    return found


def gates(
    folded: Folded, ids: Ids, hidden: list[Array], layer: int, part: slice
) -> dict[str, Array]:
    """By letter the gates (n, H) of a layer, each between 0 and 1, along a part of a passage.

    Args:
        ids, hidden: as `saturation` takes them.
    """
    cell, H = folded.architecture.cell, folded.architecture.hidden_size
    if not cell.sigmoids:
        return {}
    if layer:
        sums = _read_of(folded, hidden, layer - 1, part) @ folded.inputs[layer - 1].T
        sums += folded.biases[layer - 1]
    else:
        sums = folded.table[ids[part]]
    sums = sums + _before(hidden[layer], part) @ folded.recurrent[layer].T
    return {gate: _sigmoid(sums[:, cell.rows(gate, H)]) for gate in cell.sigmoids}


def _before(hidden: Array, part: slice) -> Array:
    """The hidden vector before each character of a part; zero before the first of all."""
    delayed = np.concatenate([np.zeros_like(hidden[:1]), hidden[:-1]])
    return delayed[part]


def _read_of(folded: Folded, hidden: list[Array], layer: int, part: slice) -> Array:
    """What the layer above reads of a layer, as the folded weights expect it."""
    output = hidden[layer][part]
    if folded.scales:
        output = output * folded.scales[layer]
    return output


def _sigmoid(sums: Array) -> Array:
    result: Array = (np.tanh(sums * np.float32(0.5)) + 1) * np.float32(0.5)
    return result
