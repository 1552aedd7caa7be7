"""The states along a client's last prompt."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charrnn.generation.engines import Engines
from charrnn.generation.state import State, beginning
from charrnn.generation.token_sampler import Ids
from charrnn.serving.states import StateCache, Trail
from tests.generation.models import trained_model

MODEL = trained_model(hidden_size=4)
READER = Engines(MODEL).reader
prompts = st.lists(st.lists(st.integers(0, 2), max_size=200), min_size=1, max_size=4)


def read(cache: StateCache, client: str, ids: Ids) -> tuple[State, int]:
    """The state before the last character, and how many characters were read for it."""
    trail = cache.begin(client, ids)
    place = trail.places[-1] if trail.places else 0
    state = trail.states[-1] if trail.states else beginning(MODEL, 1)
    start = place
    while place < len(ids) - 1:
        step = min(16, len(ids) - 1 - place)
        state = READER.advance(ids[None, place : place + step], state)
        place += step
        if trail.wants(place):
            trail.keep(place, state)
    cache.put(client, trail)
    return state, place - start


@given(prompts)
def test_the_states_are_those_of_reading_anew(prompts: list[list[int]]) -> None:
    cache = StateCache(1 << 20)
    for prompt in prompts:
        ids = np.array(prompt, np.int64)
        state, _ = read(cache, "a", ids)
        expected = READER.advance(ids[None, :-1], beginning(MODEL, 1))
        for layer, other in zip(state, expected, strict=True):
            for vector, of_other in zip(layer, other, strict=True):
                np.testing.assert_allclose(vector, of_other, atol=1e-6)


def test_only_what_changed_is_read() -> None:
    cache, ids = StateCache(1 << 20), np.arange(1000) % 60
    assert read(cache, "a", ids)[1] == 999
    assert read(cache, "a", ids)[1] == 0
    assert read(cache, "a", np.append(ids, [1, 2]))[1] == 2
    changed = ids.copy()
    changed[900] += 1
    assert read(cache, "a", changed)[1] < 999 - 900 + 64
    assert read(cache, "b", ids)[1] == 999  # another client


def test_a_long_prompt_keeps_few_states() -> None:
    trail = Trail(np.zeros(100_000, np.int64))
    for place in range(16, 100_000, 16):
        if trail.wants(place):
            trail.keep(place, [])
    assert 200 < len(trail.places) <= 260


def test_the_limit_holds_and_the_oldest_go_first() -> None:
    ids = np.zeros(200, np.int64)
    cache = StateCache(1 << 30)
    read(cache, "a", ids)
    size = cache.begin("a", ids).size
    cache = StateCache(3 * size)
    for client in "abcda":
        read(cache, client, ids)
    kept = [client for client in "abcd" if cache.begin(client, ids).places]
    assert kept == ["a", "c", "d"]
    nothing = StateCache(0)
    read(nothing, "a", ids)
    assert not nothing.begin("a", ids).places
