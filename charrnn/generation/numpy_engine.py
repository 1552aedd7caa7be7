"""Stepping a model with NumPy alone: what writes a text a moment after the command.

What is stepped has two functions, and all that it carries is in the state:

    advance(ids (N,), state) -> state       one character more in each of N streams
    logits(state) -> (N, V)                 of the next one

It is a network (`NumpyNetwork`), the mean of several (`NumpyEnsemble`), or either of them mixed
with counts (`NumpyCounts`). A state is never changed, so all of them are safe to share between
threads. At 2 x 128 a call of NumPy weighs as much as its arithmetic, so there are few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from charrnn.counts import Counts
from charrnn.cpu import single_blas_thread
from charrnn.generation.state import State
from charrnn.generation.token_sampler import Floats, Ids, Params, TokenSampler, log_softmax
from charrnn.generation.weights import Array, Folded
from charrnn.text.vocabulary import Vocabulary

# as arrays: NumPy takes twice as long over a Python number
_ONE, _HALF = np.array(1, np.float32), np.array(0.5, np.float32)
_FEW = 4  # streams, at most, that step through counts one by one


class Stepped(Protocol):
    """A model, one character at a time."""

    def advance(self, ids: Ids, state: State) -> State:
        """The state after one character (N,) more."""

    def logits(self, state: State) -> Array | Floats:
        """What the softmax of gives the probabilities (N, V) of the next character."""


class NumpyEngine:
    """Reads and writes N streams at once; safe to share between threads.

    Args:
        stepped: the model.
        exp: writes the exponentials of its first argument into the second.
    """

    def __init__(
        self,
        stepped: Stepped,
        vocabulary: Vocabulary,
        exp: Callable[[Floats, Floats], object] = np.exp,
    ) -> None:
        self.stepped, self.vocabulary = stepped, vocabulary
        self._exp = exp

    @single_blas_thread()
    def advance(self, ids: Ids, state: State) -> State:
        """The state after known characters (N, T)."""
        with np.errstate(all="ignore"):
            for t in range(ids.shape[1]):
                state = self.stepped.advance(ids[:, t], state)
        return state

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
        with np.errstate(all="ignore"):
            for t in range(ids.shape[1]):
                state = self.stepped.advance(ids[:, t], state)
                each = self.stepped.logits(state)
                logits[:, t] = log_softmax(each) if isinstance(self.stepped, NumpyCounts) else each
        return logits, state

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
        sampler = TokenSampler(
            params, self.vocabulary, list(ids[:, None]) if texts is None else texts, self._exp
        )
        written = np.empty(uniforms.shape, np.int64)
        with np.errstate(all="ignore"):
            for t in range(uniforms.shape[1]):
                state = self.stepped.advance(ids, state)
                ids = written[:, t] = sampler.draw(self.stepped.logits(state), uniforms[:, t])
        return written, state


# One step of each cell, from
#
#     z          (N, G*H)  what the gates read, overwritten
#     recurrent  (N, G*H)  the recurrent sums, overwritten
#     h, c       (N, H)    what is carried
#
# to what is carried on. sigmoid(x) is (1 + tanh(x / 2)) / 2, whose inner half is in the weights, so
# that one tanh covers all gates.


def _lstm(z: Array, recurrent: Array, h: Array, c: Array) -> tuple[Array, ...]:
    H = h.shape[1]
    z += recurrent
    np.tanh(z, z)
    sigmoids, g = z[:, : 3 * H], z[:, 3 * H :]
    sigmoids += _ONE
    sigmoids *= _HALF
    g *= z[:, :H]
    c = z[:, H : 2 * H] * c
    c += g
    h = np.tanh(c)
    h *= z[:, 2 * H : 3 * H]
    return h, c


def _gru(z: Array, recurrent: Array, h: Array) -> tuple[Array, ...]:
    H = h.shape[1]
    sigmoids, n = z[:, : 2 * H], z[:, 2 * H :]
    sigmoids += recurrent[:, : 2 * H]
    np.tanh(sigmoids, sigmoids)
    sigmoids += _ONE
    sigmoids *= _HALF
    n += z[:, :H] * recurrent[:, 2 * H :]
    n = np.tanh(n)
    h = h - n
    h *= z[:, H : 2 * H]
    h += n
    return (h,)


def _rnn(z: Array, recurrent: Array, h: Array) -> tuple[Array, ...]:
    z += recurrent
    return (np.tanh(z, z),)


class _CellStep(NamedTuple):
    """Attributes: step, as above; gates in the order of its sums."""

    step: Callable[..., tuple[Array, ...]]
    gates: str


CELLS = {
    "lstm": _CellStep(_lstm, "ifog"),
    "gru": _CellStep(_gru, "rzn"),
    "rnn": _CellStep(_rnn, "h"),
}


class NumpyNetwork:
    """A network with one of `CELLS`.

    The decoder reads the outputs of all layers that count side by side: with skip connections their
    sum is a part of its product.

    Attributes:
        num_layers: of its state.
    """

    def __init__(self, folded: Folded) -> None:
        a = folded.architecture
        cell, H = a.cell, a.hidden_size
        self.num_layers = a.num_layers
        self._step, gates = CELLS[a.kind]
        rows = np.concatenate([np.r_[cell.rows(gate, H)] for gate in gates])
        scales = np.repeat([_HALF if gate in cell.sigmoids else _ONE for gate in gates], H)

        def laid_out(weight: Array) -> Array:
            return np.ascontiguousarray(weight.T[..., rows] * scales)

        with np.errstate(all="ignore"):
            slopes = folded.scales or [_ONE] * a.num_layers
            self._table = laid_out(folded.table.T)
            inputs = zip(folded.inputs, slopes, strict=False)
            self._inputs = [laid_out(weight * slope) for weight, slope in inputs]
            self._biases = [laid_out(bias) for bias in folded.biases]
            self._recurrent = [laid_out(weight) for weight in folded.recurrent]
            read = folded.scales or [_ONE]
            self._decoder = np.concatenate([(folded.decoder * slope).T for slope in read])
        self._num_read = len(read)
        self._hidden_bias, self._decoder_bias = folded.hidden_bias, folded.decoder_bias

    def advance(self, ids: Ids, state: State) -> State:
        after: State = []
        z = self._table[ids]
        for layer, carried in enumerate(state):
            if layer:
                z = after[-1][0] @ self._inputs[layer - 1]
                z += self._biases[layer - 1]
            h = carried[0]
            recurrent = h @ self._recurrent[layer]
            if self._hidden_bias:
                recurrent[:, -h.shape[1] :] += self._hidden_bias[layer]
            after.append(self._step(z, recurrent, *carried))
        return after

    def logits(self, state: State) -> Array:
        read = [layer[0] for layer in state[-self._num_read :]]
        logits: Array = (read[0] if len(read) == 1 else np.concatenate(read, 1)) @ self._decoder
        logits += self._decoder_bias
        return logits


class NumpyEnsemble:
    """Several networks, whose probabilities are averaged; the logits are ln of the mean.

    The state is the members' layers, one member after the other.

    Args:
        shares: the weights of the mean, which sum to 1.
    """

    def __init__(self, members: Sequence[NumpyNetwork], shares: Sequence[float]) -> None:
        self._members, self._log_shares = members, np.log(shares)

    def _parts(self, state: State) -> Iterator[tuple[NumpyNetwork, State]]:
        first = 0
        for member in self._members:
            last = first + member.num_layers
            yield member, state[first:last]
            first = last

    def advance(self, ids: Ids, state: State) -> State:
        parts = self._parts(state)
        return [layer for member, own in parts for layer in member.advance(ids, own)]

    def logits(self, state: State) -> Floats:
        logs = [log_softmax(member.logits(own)) for member, own in self._parts(state)]
        weighted = [own + share for own, share in zip(logs, self._log_shares, strict=True)]
        mean: Floats = np.logaddexp.reduce(weighted)
        return mean


class NumpyCounts:
    """A network, or several, mixed with counts (`charrnn.counts.mixing`).

    The nodes (N, K) of the counts come last in the state.

    Args:
        network: whose state comes first; it is not asked where it has no say.
        log: the logarithm of probabilities.
        walks: whether all streams step through the counts one by one, which adds up in one order.
    """

    def __init__(
        self,
        network: Stepped,
        counts: Counts,
        log: Callable[[Array], Array] = np.log,
        walks: bool = False,
    ) -> None:
        self._network = network if counts.needs_network else None
        self._table, self._by_length = counts.table, counts.by_length
        self._log, self._walks = log, walks

    def advance(self, ids: Ids, state: State) -> State:
        *carried, (nodes,) = state
        if self._network is not None:
            carried = self._network.advance(ids, carried)
        if len(ids) > _FEW:
            return [*carried, (self._table.after_each(ids, nodes),)]
        each = zip(ids.tolist(), nodes, strict=True)
        return [*carried, (np.stack([self._table.after_one(id_, own) for id_, own in each]),)]

    def logits(self, state: State) -> Array | Floats:
        *carried, (nodes,) = state
        if len(nodes) > _FEW and not self._walks:
            p = self._table.predicted(nodes)
        else:
            p = np.stack([self._table.predicted_one(own) for own in nodes])
        of_network, of_counts = self._by_length[np.count_nonzero(nodes, 1)].T[..., None]
        scores: Array | Floats = of_counts * self._log(p)
        if self._network is not None:
            scores = scores + of_network * self._network.logits(carried)
        return scores
