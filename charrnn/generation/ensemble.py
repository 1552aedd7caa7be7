"""Several models that write one text: each is stepped, and their probabilities are averaged.

What is asked for (the temperature, filters, penalties) acts on the averaged distribution, whose
logarithms stand in for the logits of one model. The state is the members' layers, one member
after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charrnn.generation.numpy_engine import NumpyEngine, Steps
from charrnn.generation.state import State
from charrnn.generation.token_sampler import Floats, Ids, Params, TokenSampler, log_softmax
from charrnn.generation.weights import Array


class EnsembleEngine:
    """Reads and writes as `NumpyEngine` does; safe to share between threads.

    Args:
        members: two or more, with one vocabulary.
    """

    def __init__(self, members: Sequence[NumpyEngine]) -> None:
        self.members = list(members)

    def read(self, ids: Ids, state: State) -> tuple[Array, State]:
        """As `NumpyEngine.read`; the logits are ln(mean probability), float32."""
        read = [
            engine.read(ids, part)
            for engine, part in zip(self.members, self._parts(state), strict=True)
        ]
        mean = log_mean([logits for logits, _ in read]).astype(np.float32)
        return mean, [layer for _, after in read for layer in after]

    def advance(self, ids: Ids, state: State) -> State:
        """The state after known characters (N, T)."""
        parts = zip(self.members, self._parts(state), strict=True)
        return [layer for engine, part in parts for layer in engine.advance(ids, part)]

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
        steps = [Steps(*pair) for pair in zip(self.members, self._parts(state), strict=True)]
        texts = list(ids[:, None]) if texts is None else texts
        sampler = TokenSampler(params, self.members[0].folded.vocabulary, texts)
        written = np.empty((T, N), np.int64)
        with np.errstate(all="ignore"):
            for t in range(T):
                for each in steps:
                    each.take_in(ids)
                tops = zip(self.members, steps, strict=True)
                sampler.scores[...] = log_mean([engine.decode(s.top) for engine, s in tops])
                ids = written[t]
                if N == 1:
                    ids[0] = sampler.draw_one(float(uniforms[0, t]))
                else:
                    sampler.draw(uniforms[:, t], ids)
        return written.T, [layer for each in steps for layer in each.state()]

    def _parts(self, state: State) -> list[State]:
        """The members' own states."""
        parts, first = [], 0
        for engine in self.members:
            last = first + len(engine.layers)
            parts.append(state[first:last])
            first = last
        return parts


def log_mean(logits: Sequence[Array]) -> Floats:
    """ln of the mean of the softmaxes of logits (..., V), float64."""
    with np.errstate(all="ignore"):
        mean: Floats = np.logaddexp.reduce(log_softmax(np.stack(logits))) - np.log(len(logits))
    return mean
