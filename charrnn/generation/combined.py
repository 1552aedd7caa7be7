"""Engines made of others: of several models that write one text, and of a network and counts.

The probabilities of several models are averaged, weighted or not; those of a network, or of such
a mean, and of counts are mixed (`charrnn.counts.mixing`). What is asked for (the temperature,
filters, penalties) acts on what comes of it, whose logarithms stand in for the logits of one model.

The state is the members' layers, one member after the other, and last the nodes (N, K) of the
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from charrnn.counts import Counts, Walk, mixed
from charrnn.generation.numpy_engine import (
    NumpyEngine,
    Stepped,
    SteppingEngine,
    on_one_thread,
    one_by_one,
)
from charrnn.generation.state import State
from charrnn.generation.token_sampler import (
    FLOAT,
    Floats,
    Functions,
    Ids,
    Params,
    TokenSampler,
    log_softmax,
)
from charrnn.generation.weights import Array
from charrnn.text.vocabulary import Vocabulary

_WALKED = 4  # streams, at most, that step through counts one by one


class CombinedEngine(SteppingEngine):
    """What all of these have: it writes as `NumpyEngine` does, whatever is stepped."""

    vocabulary: Vocabulary
    functions: Functions = FLOAT

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
        """As `NumpyEngine.write`."""
        N, T = uniforms.shape
        texts = list(ids[:, None]) if texts is None else texts
        if apart := one_by_one(self.write, ids, state, uniforms, params, texts):
            return apart
        steps = self.steps(state)
        sampler = TokenSampler(params, self.vocabulary, texts, self.functions)
        written = np.empty((T, N), np.int64)
        with np.errstate(all="ignore"):
            for t in range(T):
                steps.take_in(ids)
                sampler.scores[...] = steps.scores()
                ids = written[t]
                if N == 1:
                    ids[0] = sampler.draw_one(float(uniforms[0, t]))
                else:
                    sampler.draw(uniforms[:, t], ids)
        return written.T, steps.state()


class EnsembleEngine(CombinedEngine):
    """Reads and writes as `NumpyEngine` does; safe to share between threads.

    Args:
        members: two or more, with one vocabulary.
        shares: the weights of the mean, which sum to 1.
    """

    def __init__(self, members: Sequence[NumpyEngine], shares: Sequence[float]) -> None:
        self.members, self.shares = list(members), shares
        self.vocabulary = members[0].vocabulary

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`; the logits are ln(mean probability), float32."""
        read = [
            engine.read(ids, part)
            for engine, part in zip(self.members, self._parts(state), strict=True)
        ]
        mean = log_mean([logits for logits, _ in read], self.shares).astype(np.float32)
        return mean, [layer for _, after in read for layer in after]

    def steps(self, state: State) -> Stepped:
        parts = zip(self.members, self._parts(state), strict=True)
        return _EnsembleSteps([engine.steps(part) for engine, part in parts], self.shares)

    def _parts(self, state: State) -> list[State]:
        """The members' own states."""
        parts, first = [], 0
        for engine in self.members:
            last = first + len(engine.layers)
            parts.append(state[first:last])
            first = last
        return parts


class _EnsembleSteps:
    def __init__(self, members: Sequence[Stepped], shares: Sequence[float]) -> None:
        self._members, self._shares = members, shares

    def take_in(self, ids: Ids) -> None:
        for each in self._members:
            each.take_in(ids)

    def scores(self) -> Floats:
        return log_mean([each.scores() for each in self._members], self._shares)

    def state(self) -> State:
        return [layer for each in self._members for layer in each.state()]


class CountedEngine(CombinedEngine):
    """A network, or several, and counts; safe to share between threads.

    Args:
        network: None where there are only counts.
        functions: other than `FLOAT` where a text has to be the same to the last bit.
    """

    def __init__(
        self,
        network: SteppingEngine | None,
        counts: Counts,
        vocabulary: Vocabulary,
        functions: Functions = FLOAT,
    ) -> None:
        self.network = network if counts.needs_network else None
        self.counts, self.vocabulary, self.functions = counts, vocabulary, functions

    @cached_property
    def walk(self) -> Walk:
        return Walk(self.counts.table)

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`; the logits are ln p."""
        p, lengths, nodes = self.counts.table.read(ids, state[-1][0])
        weights, carried, logits = self.counts.by_length[lengths], state[:-1], np.zeros_like(p)
        if self.network is not None:
            logits, carried = self.network.read(ids, carried)
        return mixed(logits, np.log(p), weights).astype(np.float32), [*carried, (nodes,)]

    def steps(self, state: State) -> Stepped:
        return _CountedSteps(self, state)


class _CountedSteps:
    def __init__(self, engine: CountedEngine, state: State) -> None:
        self._table, self._walk = engine.counts.table, engine.walk
        self._by_length = engine.counts.by_length
        self._carried = state[:-1]
        self._network = None if engine.network is None else engine.network.steps(state[:-1])
        self._nodes = state[-1][0]
        self._log = engine.functions.log
        # the table adds up in another order than a walk
        walks = len(self._nodes) <= _WALKED or engine.functions is not FLOAT
        self._walked = [self._walk.nodes(nodes) for nodes in self._nodes] if walks else None

    def take_in(self, ids: Ids) -> None:
        if self._network is not None:
            self._network.take_in(ids)
        if self._walked is None:
            self._nodes = self._table.after_each(ids, self._nodes)
        else:
            walked = zip(self._walked, ids.tolist(), strict=True)
            self._walked = [self._walk.after(nodes, id_) for nodes, id_ in walked]

    def scores(self) -> Array | Floats:
        if self._walked is None:
            p, lengths = self._table.predicted(self._nodes), np.count_nonzero(self._nodes, 1)
        else:
            each = [self._walk.predicted(nodes) for nodes in self._walked]
            p = each[0] if len(each) == 1 else np.stack(each)
            lengths = np.array([len(nodes) - 1 for nodes in self._walked])
        network, counts = self._by_length[lengths].T[..., None]
        scores: Array | Floats = counts * self._log(p)
        if self._network is not None:
            scores = scores + network * self._network.scores()
        return scores

    def state(self) -> State:
        nodes = self._nodes
        if self._walked is not None:
            nodes = np.stack([self._walk.state(walked) for walked in self._walked])
        carried = self._carried if self._network is None else self._network.state()
        return [*carried, (nodes,)]


def log_mean(logits: Sequence[Array | Floats], shares: Sequence[float]) -> Floats:
    """ln of the mean of the softmaxes of logits (..., V), weighted by shares of 1, float64."""
    with np.errstate(all="ignore"):
        logs = log_softmax(np.stack(logits))
        logs += np.log(shares).reshape(-1, *[1] * (logs.ndim - 1))
        mean: Floats = np.logaddexp.reduce(logs)
    return mean
