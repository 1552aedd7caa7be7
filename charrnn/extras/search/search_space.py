"""A search space, written in Hydra's grammar, as Optuna takes it.

optimizer.lr=interval(1e-4,1e-2)            a number between
optimizer.lr=tag(log,interval(1e-4,1e-2))   the same, evenly by its logarithm
model.hidden_size=int(interval(32,256))     a whole number between, both included
model.num_layers=range(1,4)                 1, 2 or 3; range(64,257,step=64) in steps
model=choice(lstm,gru)                      one of these, which need no order; also lstm,gru
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import (
    FloatRange,
    IntervalSweep,
    Override,
    RangeSweep,
)

from charrnn.errors import InputError, needing, shown

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def optuna_module() -> Any:
    """Optuna, which says what is wrong and not what goes on; InputError if it is not installed."""
    with needing("a search (sweep=tpe and the like) needs optuna", "sweep"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distribution(override: Override) -> BaseDistribution:
    """What the values of an option are drawn from.

    Raises:
        InputError: nothing can be drawn from it.
    """
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _between(value.start, value.end, "log" in value.tags)
        if isinstance(value, RangeSweep) and not value.shuffle:
            return _in_steps(value)
        choices = list(override.sweep_string_iterator())
        made: BaseDistribution = optuna_module().distributions.CategoricalDistribution(choices)
        return made
    except (ValueError, TypeError) as error:
        raise InputError(f"{shown(override.input_line)}: {error}") from None


def _between(low: Any, high: Any, log: bool) -> BaseDistribution:
    distributions = optuna_module().distributions
    if isinstance(low, int) and isinstance(high, int):
        made: BaseDistribution = distributions.IntDistribution(low, high, log=log)
    else:
        made = distributions.FloatDistribution(float(low), float(high), log=log)
    return made


def _in_steps(sweep: RangeSweep) -> BaseDistribution:
    """Without its end, as Hydra counts."""
    values = sweep.range()
    of_floats = isinstance(values, FloatRange)
    all_values = [float(value) if of_floats else value for value in values]
    if not all_values:
        raise ValueError("is a range without values")
    low, high = min(all_values), max(all_values)
    distributions, log = optuna_module().distributions, "log" in sweep.tags
    if log:  # a logarithm has no even steps
        return _between(low, high, log)
    step = abs(sweep.step)
    kind = distributions.FloatDistribution
    if not of_floats:
        kind, step = distributions.IntDistribution, int(step)
    made: BaseDistribution = kind(low, high, step=step)
    return made
