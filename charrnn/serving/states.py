"""The states along the last prompt of each client.

A writer's next prompt is the last one with a change near its end. Of every prompt that is read
some states are kept; the next one of the same client goes on from the last of them that lies
before the change.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from charrnn.generation.state import State
from charrnn.generation.token_sampler import Ids

# At most so many states are kept of a prompt, and none nearer together than that. A state of
# 2 x 256 has 4 kB, and 64 characters are read in 2 ms.
_MOST_OF_A_PROMPT = 256
_NEAREST = 64
_OBJECTS = 4096  # bytes of what holds the numbers of a trail


@dataclass
class Trail:
    """States along one prompt.

    Attributes:
        ids: the prompt's.
        places: how many characters each state has taken in, growing.
        states: of one stream each.
    """

    ids: Ids
    places: list[int] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    def wants(self, place: int) -> bool:
        """Whether the state after so many characters is to be kept."""
        least = max(_NEAREST, len(self.ids) // _MOST_OF_A_PROMPT)
        last = self.places[-1] if self.places else 0
        return place - last >= least or (place > last and place >= len(self.ids) - 1)

    def keep(self, place: int, state: State) -> None:
        self.places.append(place)
        self.states.append(state)

    @property
    def size(self) -> int:
        """Bytes, about."""
        states = sum(v.nbytes for state in self.states for layer in state for v in layer)
        return _OBJECTS + self.ids.nbytes + states


class StateCache:
    """The last trail of each client; the clients that were not heard of longest go first.

    Args:
        limit: bytes of all trails together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._trails: OrderedDict[str, Trail] = OrderedDict()

    def begin(self, client: str, ids: Ids) -> Trail:
        """A trail for a new prompt, with those states of the client's last that hold for it.

        The place of the last of them is never the prompt's whole length: writing takes in the
        last character itself.
        """
        trail = Trail(ids)
        last = self._trails.get(client)
        if last is not None:
            shared = min(_shared(last.ids, ids), len(ids) - 1)
            count = int(np.searchsorted(last.places, shared, "right"))
            trail.places, trail.states = last.places[:count], last.states[:count]
        return trail

    def put(self, client: str, trail: Trail) -> None:
        """Make it the client's last."""
        before = self._trails.pop(client, None)
        self._size -= before.size if before else 0
        size = trail.size
        if not trail.states or size > self._limit:
            return
        self._trails[client] = trail
        self._size += size
        while self._size > self._limit:
            self._size -= self._trails.popitem(last=False)[1].size


def _shared(one: Ids, other: Ids) -> int:
    """How many characters two prompts have in common from their beginning."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length
