"""The best validation of a run so far."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

BITS_PER_NAT = 1.4426950408889634


@dataclass
class Best:
    """The lowest validation loss so far (nats per character), and at which step; 0: none yet."""

    loss: float = float("inf")
    step: int = 0

    def update(self, loss: float, step: int) -> None:
        """Take in a validation."""
        if loss < self.loss:
            self.loss, self.step = loss, step

    def plain(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> Best:
        return cls(float(content["loss"]), int(content["step"]))
