"""The states along prompts that were read lately.

A writer's next prompt is the last one with a change near its end. A state is kept after every
block of a prompt, under the hash of all that it has taken in, as vLLM's automatic prefix caching
keeps its blocks: a prompt goes on from the last one that it shares with any before it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from charrnn.generation.numpy_engine import State, rows_of
from charrnn.generation.token_sampler import Ids

BLOCK = 64  # characters; a state of 2 x 256 has 4 kB, and so many are read in 2 ms
_STATES = 8000  # at most; those that were not used longest go first


def keys_of(ids: Ids) -> list[bytes]:
    """A key for each whole block of a prompt (T,): of all characters up to its end."""
    hashed, keys = hashlib.blake2b(digest_size=16), []
    for end in range(BLOCK, len(ids) + 1, BLOCK):
        hashed.update(ids[end - BLOCK : end].tobytes())
        keys.append(hashed.digest())
    return keys


class StateCache:
    """States of one stream by the key of the last block that they have taken in."""

    def __init__(self) -> None:
        self._states: OrderedDict[bytes, State] = OrderedDict()

    def longest(self, keys: list[bytes]) -> tuple[int, State] | None:
        """The number of blocks after which a state is there, and the state, for the most blocks."""
        for blocks in range(len(keys), 0, -1):
            if (state := self._states.get(keys[blocks - 1])) is not None:
                self._states.move_to_end(keys[blocks - 1])
                return blocks, state
        return None

    def keep(self, key: bytes, state: State) -> None:
        self._states[key] = rows_of(state, [0])
        if len(self._states) > _STATES:
            self._states.popitem(last=False)
