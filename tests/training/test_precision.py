"""Training in bf16 learns what training in float32 learns."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.training.bf16 import cpu_has_bf16
from tests.small_runs import Train, metrics

STEPS = 3 * 356  # three epochs of the default recipe


@pytest.mark.slow
def test_bf16_reaches_the_validation_loss_of_float32(train: Train, workplace: Path) -> None:
    if not cpu_has_bf16():
        pytest.skip("this CPU has no bf16 of its own, and emulating it takes very long")
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        run = train(
            *("trainer=cpu", f"trainer.precision={precision}"),
            *("data=shakespeare", f"trainer.max_steps={STEPS}"),
            folder=precision,
            small=False,
        )
        losses[precision] = float(metrics(run)[-1]["val/loss"])
    assert losses["32-true"] < 1.75, "it learned nothing much"
    assert abs(losses["bf16-mixed"] - losses["32-true"]) <= 0.01
