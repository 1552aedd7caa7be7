"""The states along prompts that were read lately.

A writer's next prompt is the last one with a change near its end. A state is kept after every
block of a prompt, under the hash of all that it has taken in, as vLLM's automatic prefix caching
keeps its blocks: a prompt goes on from the last one that it shares with any before it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from charrnn.generation.state import State, rows_of
from charrnn.generation.token_sampler import Ids

BLOCK = 64  # characters; a state of 2 x 256 has 4 kB, and so many are read in 2 ms


def keys_of(ids: Ids) -> list[bytes]:
    """A key for each whole block of a prompt (T,): of all characters up to its end."""
    hashed, keys = hashlib.blake2b(digest_size=16), []
    for end in range(BLOCK, len(ids) + 1, BLOCK):
        hashed.update(ids[end - BLOCK : end].tobytes())
        keys.append(hashed.digest())
    return keys


class StateCache:
    """States of one stream by the key of the last block that they have taken in.

    Args:
        limit: bytes of all states together, about; those that were not used longest go first.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._states: OrderedDict[bytes, State] = OrderedDict()

    def prefix(self, keys: list[bytes]) -> list[State]:
        """The states after the first blocks, as far as they are there."""
        states = []
        for key in keys:
            if key not in self._states:
                break
            self._states.move_to_end(key)
            states.append(self._states[key])
        return states

    def keep(self, key: bytes, state: State) -> None:
        if key in self._states:
            return
        self._states[key] = rows_of(state, [0])
        self._size += _bytes(state)
        while self._size > self._limit:
            self._size -= _bytes(self._states.popitem(last=False)[1])


def _bytes(state: State) -> int:
    return 512 + sum(vectors.nbytes for layer in state for vectors in layer)
