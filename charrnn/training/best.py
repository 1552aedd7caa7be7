"""The best validation of a run so far, and whether its validations tell of a divergence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from charrnn.errors import RunError

BITS_PER_NAT = 1.4426950408889634
# a loss of more than so many times that of guessing is no model's
ABSURD = 5


@dataclass
class Best:
    """The lowest validation loss so far (nats per character), and at which step; 0: none yet.

    Attributes:
        first: the loss of the run's first validation; None: there was none.
        absurd: how many validations in a row were absurd, and no better than the first, up to now.
    """

    loss: float = float("inf")
    step: int = 0
    first: float | None = None
    absurd: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether there were validations, and none that a model could be of."""
        return self.first is not None and not self.step

    @staticmethod
    def limit(vocabulary_size: int) -> float:
        """The highest loss that is not absurd."""
        return ABSURD * math.log(vocabulary_size)

    def update(self, loss: float, step: int, vocabulary_size: int) -> None:
        """Take in a validation.

        One of more than 5 ln V, or that is no number, is absurd, and never the best.

        Raises:
            RunError: the second in a row that is, and above that of the first validation.
        """
        is_absurd = not loss <= self.limit(vocabulary_size)
        is_first, self.first = self.first is None, loss if self.first is None else self.first
        self.absurd = self.absurd + 1 if is_absurd and (is_first or not loss <= self.first) else 0
        if self.absurd == 2:
            raise diverged(f"after step {step} the validation loss is {loss:.4g}", vocabulary_size)
        if not is_absurd and loss < self.loss:
            self.loss, self.step = loss, step

    def plain(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> Best:
        first = content.get("first")
        return cls(
            float(content["loss"]),
            int(content["step"]),
            None if first is None else float(first),
            int(content.get("absurd", 0)),
        )


def diverged(what: str, vocabulary_size: int) -> RunError:
    """The end of a run whose validations were absurd."""
    return RunError(
        f"training diverged: {what} nats per character, where guessing has "
        f"{math.log(vocabulary_size):.2f}; try a smaller optimizer.lr or trainer.gradient_clip_val"
    )
