"""The cells' equations, as the papers write them; engines and networks are held to these.

Hochreiter and Schmidhuber 1997 (with forget gates), Cho et al. 2014. Each takes what the gates
read (..., G H) and their recurrent sums, in the order of the cell's gates, and h and c (..., H);
it returns the next h and c.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Step = Callable[[Array, Array, Array, Array], tuple[Array, Array]]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm(read: Array, own: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(read + own, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(read: Array, own: Array, h: Array, c: Array) -> tuple[Array, Array]:
    (ar, az, an), (br, bz, bn) = np.split(read, 3, -1), np.split(own, 3, -1)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    return (1 - z) * np.tanh(an + r * bn) + z * h, c


def rnn(read: Array, own: Array, h: Array, c: Array) -> tuple[Array, Array]:
    return np.tanh(read + own), c


EQUATIONS: dict[str, Step] = {
    "lstm": lstm,
    "gru": gru,
    "rnn": rnn,
}
