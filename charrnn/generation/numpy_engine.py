"""Stepping a model with NumPy alone: what writes a text a moment after the command.

Streams are stepped in buffers of their own (`Steps`), which are made of a state once and give one
back when all is written. What is stepped is a network (`NumpyNetwork`), the mean of several
(`EnsembleSteps`), or either of them mixed with counts (`CountedSteps`). At 2 x 128 a call of NumPy
weighs as much as its arithmetic, so there are few of them, and nothing is allocated or cut out for
each character.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charrnn.counts.mixing import Counts
from charrnn.generation.library_threads import single_blas_thread
from charrnn.generation.token_sampler import Floats, Ids, Params, TokenSampler, log_softmax
from charrnn.generation.weights import Array, FoldedWeights
from charrnn.models.trained import Trained
from charrnn.text.vocabulary import Vocabulary

# as arrays: NumPy takes twice as long over a Python number
_ONE, _HALF = np.array(1, np.float32), np.array(0.5, np.float32)
# For each layer the vectors that its cell carries, each (N, H); a row a stream in whatever it is
State = list[tuple[npt.NDArray[Any], ...]]
_FEW = 4  # streams, at most, that step through counts one by one


def zero_state(model: Trained, streams: int) -> State:
    """The state before the first character, zero.

    That of an ensemble is its members' layers, one member after the other. Where counts are
    mixed in, the nodes (N, K) of their contexts come last.
    """
    layers = [layer for m in model.members for layer in m.architecture.zero_state(streams)]
    if model.counts is None:
        return layers
    return [*layers, (model.counts.table.zero_state(streams),)]


def select_streams(state: State, streams: Sequence[int]) -> State:
    """A copy for the named streams, in that order; one may be named several times."""
    return [tuple(vectors[streams] for vectors in layer) for layer in state]


def concat_states(states: Sequence[State]) -> State:
    """Several states' streams as those of one."""
    return [
        tuple(np.concatenate(vectors) for vectors in zip(*layers, strict=True))
        for layers in zip(*states, strict=True)
    ]


class Steps(Protocol):
    """N streams of a model, one character at a time."""

    def advance(self, ids: Ids) -> None:
        """Take in one character (N,) more."""

    def logits(self) -> Array | Floats:
        """What the softmax of gives the probabilities (N, V) of the next one.

        It may be a buffer, which the next call overwrites.
        """

    def state(self) -> State:
        """A copy of what is carried."""


Begin = Callable[[State], Steps]  # of a state that it leaves as it is


class NumpyEngine:
    """Reads and writes N streams at once; safe to share between threads.

    Args:
        begin: what steps the model.
        normalizes: whether `read` makes ln p of the logits.
    """

    def __init__(
        self,
        begin: Begin,
        vocabulary: Vocabulary,
        normalizes: bool = False,
    ) -> None:
        self._begin, self.vocabulary, self._normalizes = begin, vocabulary, normalizes

    @single_blas_thread()
    def advance(self, ids: Ids, state: State) -> State:
        """The state after known characters (N, T)."""
        steps = self._begin(state)
        with np.errstate(all="ignore"):
            for each in ids.T:
                steps.advance(each)
        return steps.state()

    @single_blas_thread()
    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Take in characters that are known.

        Args:
            ids: (N, T), from 0.
            state: that before the first of them.

        Returns:
            The logits (N, T, V) of the character after each, and the state after the last. Those of
            an ensemble, and of a mix with counts, are ln p.
        """
        logits = np.empty((*ids.shape, len(self.vocabulary)), np.float32)
        steps = self._begin(state)
        with np.errstate(all="ignore"):
            for t, each in enumerate(ids.T):
                steps.advance(each)
                scores = steps.logits()
                logits[:, t] = log_softmax(scores) if self._normalizes else scores
        return logits, steps.state()

    @single_blas_thread()
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
            params: how, for all streams alike, or for each of the N.
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
        texts = list(ids[:, None]) if texts is None else texts
        sampler = TokenSampler(params, self.vocabulary, texts)
        steps, written = self._begin(state), np.empty(uniforms.shape[::-1], np.int64)
        with np.errstate(all="ignore"):
            for row, each in zip(written, uniforms.T, strict=True):
                steps.advance(ids)
                row[:] = ids = sampler.draw(steps.logits(), each)
        return written.T, steps.state()


# The buffers of one layer of each cell, for N streams; of one alone they have no first axis, since
# NumPy then does the same for less. Each function gets
#
#     h     (N, H)  the layer's hidden vectors, which its step overwrites
#     bias  (H,)    a gru's hidden bias; None for others
#
# and returns where the recurrent sums (N, G*H) go, what the cell carries, and its step, which is
# given what else the gates read (N, G*H). sigmoid(x) is (1 + tanh(x / 2)) / 2, whose inner half is
# in the weights, so that one tanh covers all gates.

Cell = tuple[Array, tuple[Array, ...], Callable[[Array], object]]


def _buffer(h: Array, vectors: int) -> Array:
    return np.zeros((*h.shape[:-1], vectors * h.shape[-1]), np.float32)


def _lstm(h: Array, bias: Array | None) -> Cell:
    H = h.shape[-1]
    buffer, products = _buffer(h, 5), _buffer(h, 2)  # o, i, f, g and the cell
    gates, sigmoids, o = buffer[..., : 4 * H], buffer[..., : 3 * H], buffer[..., :H]
    i_and_f, g_and_c, c = buffer[..., H : 3 * H], buffer[..., 3 * H :], buffer[..., 4 * H :]
    new, kept = products[..., :H], products[..., H:]

    def step(z: Array) -> None:
        np.add(gates, z, gates)
        np.tanh(gates, gates)
        np.add(sigmoids, _ONE, sigmoids)
        np.multiply(sigmoids, _HALF, sigmoids)
        np.multiply(i_and_f, g_and_c, products)
        np.add(new, kept, c)
        np.tanh(c, h)
        np.multiply(h, o, h)

    return gates, (h, c), step


def _gru(h: Array, bias: Array | None) -> Cell:
    assert bias is not None
    H = h.shape[-1]
    sums, n = _buffer(h, 3), _buffer(h, 1)
    sigmoids, r, u, own = (
        sums[..., : 2 * H], sums[..., :H], sums[..., H : 2 * H], sums[..., 2 * H :]
    )  # fmt: skip

    def step(z: Array) -> None:
        np.add(sigmoids, z[..., : 2 * H], sigmoids)
        np.tanh(sigmoids, sigmoids)
        np.add(sigmoids, _ONE, sigmoids)
        np.multiply(sigmoids, _HALF, sigmoids)
        np.add(own, bias, own)
        np.multiply(own, r, own)
        np.add(own, z[..., 2 * H :], n)
        np.tanh(n, n)
        # h = n + u * (h - n)
        np.subtract(h, n, h)
        np.multiply(h, u, h)
        np.add(h, n, h)

    return sums, (h,), step


def _rnn(h: Array, bias: Array | None) -> Cell:
    sums = _buffer(h, 1)

    def step(z: Array) -> None:
        np.add(sums, z, sums)
        np.tanh(sums, h)

    return sums, (h,), step


# with the gates in the order of their sums
CELLS = {"lstm": (_lstm, "oifg"), "gru": (_gru, "rzn"), "rnn": (_rnn, "h")}


class NumpyNetwork:
    """The weights of a network with one of `CELLS`, laid out for `NetworkSteps`.

    From the second layer on, what a layer reads and its own hidden vector are multiplied together,
    but for a gru, which needs the two sums apart. The decoder reads the outputs of all layers that
    count side by side: with skip connections their sum is a part of its product.
    """

    def __init__(self, folded: FoldedWeights) -> None:
        self.architecture = a = folded.architecture
        cell, H = a.cell, a.hidden_size
        self.cell, gates = CELLS[a.kind]
        rows = np.concatenate([np.r_[cell.rows(gate, H)] for gate in gates])
        halves = np.repeat([_HALF if gate in cell.sigmoids else _ONE for gate in gates], H)

        def transposed(weight: Array) -> Array:
            return np.ascontiguousarray(weight.T[..., rows] * halves)

        with np.errstate(all="ignore"):
            slopes = folded.scales or [_ONE] * a.num_layers
            self.table = transposed(folded.table.T)
            inputs = zip(folded.inputs, slopes, strict=False)
            self.inputs = [transposed(weight * slope) for weight, slope in inputs]
            self.biases = [transposed(bias) for bias in folded.biases]
            self.recurrent = [transposed(weight) for weight in folded.recurrent]
            read = folded.scales or [_ONE]
            self.decoder = np.concatenate([(folded.decoder * slope).T for slope in read])
        self.hidden_bias, self.decoder_bias = folded.hidden_bias, folded.decoder_bias
        if not self.hidden_bias:
            joined = zip(self.inputs, self.recurrent[1:], strict=True)
            self.recurrent[1:], self.inputs = [np.concatenate(both) for both in joined], []

    def begin(self, state: State) -> NetworkSteps:
        """Streams in a state."""
        return NetworkSteps(self, state)


class NetworkSteps:
    """N streams of a network; see `Steps`."""

    def __init__(self, network: NumpyNetwork, state: State) -> None:
        N, H = state[0][0].shape
        L, axes = len(state), (N,) * (N != 1)
        self._network, self._alone = network, N == 1
        # of all layers side by side, so that what is read together lies together
        hidden = np.zeros((*axes, L * H), np.float32)
        self._read = hidden[..., L * H - len(network.decoder) :]
        self._logits = np.empty((N, len(network.decoder_bias)), np.float32)
        self._decoded = self._logits[0] if self._alone else self._logits
        self._carried: list[tuple[Array, ...]] = []
        self._layers = []
        for k, weight in enumerate(network.recurrent):
            first = k if network.hidden_bias else max(k - 1, 0)
            h = hidden[..., k * H : (k + 1) * H]
            bias = network.hidden_bias[k] if network.hidden_bias else None
            sums, carried, step = network.cell(h, bias)
            for buffer, vectors in zip(carried, state[k], strict=True):
                buffer[...] = vectors.reshape(buffer.shape)
            self._carried.append(carried)
            self._layers.append((hidden[..., first * H : (k + 1) * H], weight, sums, step))
        # what the gates of each layer but the first read beside
        self._beside = network.biases
        if network.inputs:
            self._beside = [np.empty_like(sums) for _, _, sums, _ in self._layers[1:]]

    def advance(self, ids: Ids) -> None:
        network = self._network
        z = network.table[ids.item()] if self._alone else network.table.take(ids, 0)
        for k, (read, weight, sums, step) in enumerate(self._layers):
            if k:
                z = self._beside[k - 1]
                if network.inputs:
                    np.matmul(self._carried[k - 1][0], network.inputs[k - 1], z)
                    np.add(z, network.biases[k - 1], z)
            np.matmul(read, weight, sums)
            step(z)

    def logits(self) -> Array:
        np.matmul(self._read, self._network.decoder, self._decoded)
        np.add(self._decoded, self._network.decoder_bias, self._decoded)
        return self._logits

    def state(self) -> State:
        N = len(self._logits)
        return [tuple(v.reshape(N, -1).copy() for v in carried) for carried in self._carried]


class EnsembleSteps:
    """Several networks, whose probabilities are averaged; the logits are ln of the mean.

    The state is the members' layers, one member after the other.

    Args:
        shares: the weights of the mean, which sum to 1.
    """

    def __init__(
        self, members: Sequence[NumpyNetwork], shares: Sequence[float], state: State
    ) -> None:
        self._log_shares, self._members, first = np.log(shares), list[NetworkSteps](), 0
        for member in members:
            last = first + member.architecture.num_layers
            self._members.append(member.begin(state[first:last]))
            first = last

    def advance(self, ids: Ids) -> None:
        for member in self._members:
            member.advance(ids)

    def logits(self) -> Floats:
        logs = [log_softmax(member.logits()) for member in self._members]
        weighted = [own + share for own, share in zip(logs, self._log_shares, strict=True)]
        mean: Floats = np.logaddexp.reduce(weighted)
        return mean

    def state(self) -> State:
        return [layer for member in self._members for layer in member.state()]


class CountedSteps:
    """A network, or several, mixed with counts (`charrnn.counts.mixing`).

    The nodes (N, K) of the counts come last in the state. Few streams step through the counts one
    by one.

    Args:
        begin: of the network; it is not asked where the network has no say.
    """

    def __init__(self, begin: Begin, counts: Counts, state: State) -> None:
        *self._carried, (self._nodes,) = state
        self._network = begin(self._carried) if counts.needs_network else None
        self._table, self._weights = counts.table, counts.by_length.T[..., None]
        self._one_by_one: list[list[int]] | None = None
        if len(self._nodes) <= _FEW:
            self._one_by_one = [own[: np.count_nonzero(own)].tolist() for own in self._nodes]

    def advance(self, ids: Ids) -> None:
        if self._network is not None:
            self._network.advance(ids)
        if self._one_by_one is None:
            self._nodes = self._table.after_each(ids, self._nodes)
        else:
            each = zip(ids.tolist(), self._one_by_one, strict=True)
            self._one_by_one = [self._table.after_one(id_, nodes) for id_, nodes in each]

    def logits(self) -> Array | Floats:
        if self._one_by_one is None:
            p, lengths = self._table.predicted(self._nodes), self._table.lengths(self._nodes)
        else:
            p = np.array([self._table.predicted_one(nodes) for nodes in self._one_by_one])
            lengths = np.array([self._table.length_of_one(nodes) for nodes in self._one_by_one])
        of_network, of_counts = self._weights.take(lengths, 1)
        scores: Array | Floats = of_counts * np.log(p)
        if self._network is not None:
            scores = scores + of_network * self._network.logits()
        return scores

    def state(self) -> State:
        if self._one_by_one is not None:
            self._nodes = self._table.zero_state(len(self._one_by_one))
            for row, nodes in zip(self._nodes, self._one_by_one, strict=True):
                row[: len(nodes)] = nodes
        carried = self._carried if self._network is None else self._network.state()
        return [*carried, (self._nodes,)]
