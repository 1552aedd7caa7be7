"""What is chosen for the time that a training has, with speeds that are made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charrnn.errors import InputError
from charrnn.options.ranges import seconds_of
from charrnn.runs import budget
from charrnn.runs.budget import Asked, Choices, chosen
from tests.small_runs import train_options

TEXTS = (1_000, 24_000, 80_000, 240_000, 900_000, 5_000_000, 90_000_000)
TIMES = (3, 30, 90, 600, 3600, 7200, 100_000)


def parameters_of(hidden_size: int) -> int:
    """Of an lstm of two layers, 64 numbers and 64 characters."""
    return 64 * 64 + 4 * hidden_size * (64 + 3 * hidden_size + 2) + 65 * hidden_size


def cpu(hidden_size: int, batch_size: int) -> float:
    """Of a machine that multiplies, and with few streams less well."""
    return 3e10 / parameters_of(hidden_size) * min(1.0, 0.5 + batch_size / 64)


def gpu(hidden_size: int, batch_size: int) -> float:
    """Of a machine that takes as long for each step, whatever it holds."""
    return 20_000.0 * batch_size


def asked(characters: int, seconds: float, given: Choices | None = None, **more: Any) -> Asked:
    return Asked(characters, characters // 8, seconds, parameters_of, given or Choices(), **more)


def options(*args: Any, speed: Any = cpu, **more: Any) -> Choices:
    return chosen(asked(*args, **more), speed).choices


@pytest.mark.parametrize("speed", [cpu, gpu])
@pytest.mark.parametrize("characters", TEXTS)
def test_it_ends_in_time(characters: int, speed: Any) -> None:
    for seconds in TIMES:
        found = options(characters, seconds, speed=speed)
        rate = speed(found.hidden_size, found.batch_size)
        a_step = budget._a_step(asked(characters, seconds), found.batch_size)
        trained = found.max_steps * a_step
        validations = -(-found.max_steps // found.checkpoint_every)
        scored = validations * characters / 8 * (found.limit_val_batches or 1)
        if found.max_steps > 1:
            assert trained <= max(budget.EPOCHS * characters, 800 * 8 * 64)
            assert (trained + budget.SCORING_COST * scored) / rate <= 0.95 * seconds


@pytest.mark.parametrize("speed", [cpu, gpu])
@pytest.mark.parametrize("characters", TEXTS)
def test_more_time_is_never_for_less(characters: int, speed: Any) -> None:
    found = [options(characters, seconds, speed=speed) for seconds in TIMES]
    sizes = [each.hidden_size for each in found]
    assert sizes == sorted(sizes)
    for name in ("batch_size", "hidden_size"):
        given = Choices(**{name: 32})
        alike = [options(characters, s, given, speed=speed) for s in TIMES]
        assert {getattr(each, name) for each in alike} == {32}
    fixed = Choices(batch_size=32, hidden_size=128)
    alike = [options(characters, s, fixed, speed=speed) for s in TIMES]
    for name in ("max_steps", "dropout", "limit_val_batches"):
        values = [1 if (value := getattr(each, name)) is None else value for each in alike]
        assert values == sorted(values)


def test_a_length_that_is_given_stays() -> None:
    found = options(900_000, 600, Choices(max_epochs=2))
    assert found.max_steps is None
    assert found.batch_size == 32
    assert found.dropout <= 0.2
    both = Choices(max_epochs=2, max_steps=100)
    assert options(900_000, 600, both).checkpoint_every == 50


def test_a_length_that_is_given_is_validated_often_however_long_it_takes() -> None:
    for steps in (10_000, 100_000):
        every = options(900_000, 100, Choices(max_steps=steps)).checkpoint_every
        assert 20 <= steps / every <= 40
    long = options(90_000_000, 100, Choices(max_epochs=1))
    assert long.limit_val_batches == pytest.approx(0.2, abs=0.1)
    assert 90_000_000 / (32 * 64) / long.checkpoint_every >= 9


@pytest.mark.parametrize("every", [10, 50, 1000])
@pytest.mark.parametrize("characters", [900_000, 90_000_000])
@pytest.mark.parametrize("share", [None, 0.01])
@pytest.mark.parametrize("validating", [budget.VALIDATION_SHARE, budget.ASKED_VALIDATION_SHARE])
def test_validations_that_are_asked_for_fit_into_the_time(
    every: int, characters: int, share: float | None, validating: float
) -> None:
    given = Choices(limit_val_batches=share)
    found = options(characters, 600, given, every=every, validating=validating)
    steps = found.max_steps
    rate = cpu(found.hidden_size, found.batch_size)
    trained = steps * found.batch_size * 64
    part = (found.limit_val_batches or 1) * characters / 8
    assert trained + steps // every * budget.SCORING_COST * part <= 0.95 * 600 * rate
    assert trained >= (0.1 if share else 0.85 - validating - 0.05) * 600 * rate
    assert steps <= 50 * 20 or 20 <= steps / found.checkpoint_every <= 40


def test_a_share_of_the_validation_that_is_given_is_counted() -> None:
    found = chosen(asked(90_000_000, 600, Choices(limit_val_batches=1.0)), cpu)
    steps = found.choices.max_steps
    rate = cpu(found.choices.hidden_size, 32)
    validations = steps // found.choices.checkpoint_every
    assert steps * 2048 + validations * budget.SCORING_COST * 90e6 / 8 <= 0.9 * 600 * rate
    assert "validation reads" not in found.why


def test_the_measured_recipe() -> None:
    """Ten minutes at the speed at which 2 x 256 sees 11 million characters."""
    found = chosen(asked(900_000, 600), lambda size, batch: 22_000 * 0.87e6 / parameters_of(size))
    assert found.choices.hidden_size == 256
    assert found.choices.dropout == 0.25
    assert found.choices.batch_size == 32
    assert 4_000 < found.choices.max_steps < 6_000
    assert 10 <= found.choices.max_steps / found.choices.checkpoint_every <= 40
    assert "384 units would see" in found.why


@pytest.mark.parametrize(
    ("characters", "size", "batch"), [(24_000, 128, 8), (80_000, 256, 8), (240_000, 384, 16)]
)
def test_a_small_text_gets_a_small_network_many_steps_and_an_early_end(
    characters: int, size: int, batch: int
) -> None:
    found = chosen(asked(characters, 7200), cpu)
    assert found.choices.hidden_size == size
    assert found.choices.batch_size == batch
    assert found.choices.dropout >= 0.35
    assert "are enough" in found.why
    assert 700 < found.choices.max_steps < 5_000


def test_few_steps_are_made_more_where_fewer_streams_leave_enough_characters() -> None:
    for slower, batch in ((0.7, 16), (0.5, 32)):

        def speed_of(size: int, batch: int, slower: float = slower) -> float:
            return 15_000 * (1 if batch == 32 else slower if batch == 16 else slower / 2)

        assert chosen(asked(80_000, 180), speed_of).choices.batch_size == batch


def test_a_gpu_gets_more_streams_where_the_text_is_long() -> None:
    assert options(90_000_000, 600, speed=gpu).batch_size == 128
    assert options(900_000, 7200, speed=gpu).batch_size == 32
    assert options(90_000_000, 7200).batch_size == 32


def test_a_long_text_is_validated_on_in_part() -> None:
    found = chosen(asked(90_000_000, 60), cpu)
    assert 0 < found.choices.limit_val_batches < 0.5
    assert "validation reads" in found.why


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 20),
        ("hidden_size", 512),
        ("dropout", 0.12),
        ("max_steps", 77),
        ("checkpoint_every", 5),
        ("limit_val_batches", 0.5),
        ("limit_val_batches", 1),
    ],
)
def test_what_is_given_stays(name: str, value: Any) -> None:
    assert getattr(options(900_000, 600, Choices(**{name: value})), name) == value


def test_a_larger_network_that_is_given_takes_fewer_steps() -> None:
    large = options(900_000, 600, Choices(hidden_size=512))
    assert large.max_steps < options(900_000, 600).max_steps


def test_streams_can_be_shared_out() -> None:
    for processes in (2, 4, 8, 16, 32):
        assert options(24_000, 60, processes=processes).batch_size % processes == 0


def test_only_sizes_that_may_be_taken_are_measured() -> None:
    measured = []

    def speed_of(size: int, batch: int) -> float:
        measured.append(size)
        return cpu(size, batch)

    chosen(asked(24_000, 60), speed_of)
    assert max(measured) == 128


def test_dropout_grows_with_what_could_be_learnt_by_heart() -> None:
    shares = [budget.dropout(2.0**exponent, 5000) for exponent in range(-3, 12)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 0.5)
    assert [budget.dropout(200, steps) for steps in (30, 300, 600, 1200)] == [0, 0.1, 0.25, 0.5]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("10m", 600), ("1.5h", 5400), ("10", 0), ("10 m", 0), ("m", 0), ("-1s", 0),
        ("1e3s", 0), ("10M", 0), ("1d", 0), ("", 0), ("٣s", 0), ("9" * 400 + "h", 0), ("0s", 0),
    ],
)  # fmt: skip
def test_a_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


CONFIG = train_options(budget="10m", model__hidden_size=128)


def test_what_is_open_in_a_config() -> None:
    guess = budget.guessed(CONFIG)
    assert guess.data.batch_size == 32
    assert (guess.model.hidden_size, guess.model.dropout) == (128, 0.3)
    assert CONFIG.data.batch_size is None
    assert Choices.of(CONFIG) == Choices(hidden_size=128)
    all_but_length = Choices(batch_size=4, hidden_size=4, dropout=0.0, checkpoint_every=9)
    assert not all_but_length.complete
    assert replace(all_but_length, max_epochs=9).complete
    assert replace(all_but_length, max_steps=9).complete
    assert not replace(all_but_length, max_steps=9, checkpoint_every=None).complete


def test_what_is_chosen_is_put_in_a_config() -> None:
    choices = Choices(8, 64, 0.0, None, 700, 50, 0.5, 0.3)
    assert Choices.of(choices.put_in(CONFIG)) == choices
    assert choices.put_in(CONFIG).plain()["trainer"]["limit_val_batches"] == 0.5
    assert Choices().put_in(CONFIG) == CONFIG
    without = replace(CONFIG, callbacks={})
    assert choices.put_in(without).callbacks == {}


@pytest.mark.parametrize("name", ["max_epochs", "max_steps"])
def test_a_length_beside_a_budget_is_refused(name: str) -> None:
    config = Choices(**{name: 50}).put_in(CONFIG)
    with pytest.raises(InputError, match=rf"^trainer.{name}=50: budget=10m chooses how long"):
        budget.refuse_two_lengths(config)
    budget.refuse_two_lengths(replace(config, budget=None))
    budget.refuse_two_lengths(CONFIG)


def test_without_a_budget_the_speed_is_a_usual_one() -> None:
    speeds = [budget.usual_speed(size) for size in (32, 64, 100, 128, 256, 300, 512, 768, 1024)]
    assert speeds == sorted(speeds, reverse=True)
    assert len(set(speeds)) == len(speeds) - 2  # a constant beyond what was measured
