"""The temperature along a text: one for all of it, or moving from one to another."""

from __future__ import annotations

from typing import NamedTuple

from charrnn.options.ranges import temperatures_of

STEPS = 100  # a moving temperature stands still for a hundredth of the text


class Course(NamedTuple):
    """From the first temperature to the last along `length` characters, in even steps."""

    first: float
    last: float
    length: int

    @classmethod
    def of(cls, temperature: float | str, length: int) -> Course:
        """That of a number, or of a text such as 0.2..1.2.

        Raises:
            ValueError: see `charrnn.options.ranges.temperatures_of`.
        """
        return cls(*temperatures_of(temperature), length)

    @property
    def moves(self) -> bool:
        """Whether it is another one somewhere."""
        return self.first != self.last and self.length > 1

    def at(self, place: int) -> tuple[float, int]:
        """The temperature of the character at a place, and how many from there on have it."""
        if not self.moves:
            return self.first, self.length - place
        steps = min(self.length, STEPS)
        step = place * steps // self.length
        next_step = -(-(step + 1) * self.length // steps)
        share = step / (steps - 1)
        return self.first + share * (self.last - self.first), next_step - place
