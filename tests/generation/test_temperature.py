"""The temperature along a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.generation.stream import STEPS, TemperatureSchedule, uniforms_of
from charrnn.model import Model
from charrnn.options.ranges import TEMPERATURE, temperatures_of
from tests.generation.definition import drawn, probabilities
from tests.generation.models import params, trained_model


def test_as_it_is_written() -> None:
    assert temperatures_of(0.8) == (0.8, 0.8)
    assert temperatures_of("0.8") == (0.8, 0.8)
    assert temperatures_of("0.2..1.2") == (0.2, 1.2)
    assert temperatures_of("0 .. 1e-6") == (0, 1e-6)
    assert temperatures_of("1...5") == (1, 0.5)
    for wrong in ("a..b", "0.2..", "..", "0.2-1.2", "-1..2", "1..inf", "nan", -1, "1e999..2"):
        assert not TEMPERATURE.admits(wrong)


@given(st.integers(1, 1000), st.sampled_from([(0.2, 1.2), (1.0, 0.0), (0.5, 0.5)]))
def test_it_moves_evenly_from_the_first_to_the_last(length: int, ends: tuple[float, float]) -> None:
    schedule, place, seen = TemperatureSchedule(*ends, length), 0, []
    while place < length:
        temperature, alike = schedule.at(place)
        assert 1 <= alike <= length - place
        assert {schedule.at(p)[0] for p in (place, place + alike - 1)} == {temperature}
        seen.append((place, temperature))
        place += alike
    assert place == length
    assert seen[0][1] == ends[0]
    assert length == 1 or seen[-1][1] == pytest.approx(ends[1])
    for at, temperature in seen:
        even = ends[0] + (ends[1] - ends[0]) * at / length
        assert abs(temperature - even) <= abs(ends[1] - ends[0]) / min(length, STEPS) + 1e-9


def test_each_character_is_chosen_at_its_temperature() -> None:
    model = Model(trained_model(conviction=2))
    text = model.generate(250, "Hm", temperature="0.2..3", seed=4, engine="numpy")
    uniforms, schedule = uniforms_of(4, 0).random(250), TemperatureSchedule(0.2, 3, 250)
    logits = model.logits("Hm" + text)[1:-1]
    for place, row in enumerate(logits):
        each = probabilities(row, params(schedule.at(place)[0]), model.vocabulary)
        assert text[place] == model.vocabulary.characters[drawn(each, uniforms[place])]
    for engine in ("torch", "auto"):
        assert model.generate(250, "Hm", temperature="0.2..3", seed=4, engine=engine) == text
    assert model.generate(9, temperature="0.5..0.5", seed=1) == model.generate(
        9, temperature=0.5, seed=1
    )
    assert model.generate(0, temperature="0.2..3") == ""
