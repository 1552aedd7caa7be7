"""How a run tells the person before it where it is, on standard error.

On a terminal a bar; elsewhere (a log file, a pipe) a line every `print_every` steps.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

# seconds between two states of a bar, and between two lines about a validation elsewhere
REDRAW, TELL_EVERY = 0.25, 5.0


def say(line: str) -> None:
    """A line on standard error; where nobody reads that any more, a run goes on in silence."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class Progress:
    """Shows epoch, step, loss, characters per second and the time left."""

    def __init__(self, *, windows: int, total_steps: int, characters: int, bar: bool) -> None:
        self.windows = windows
        self.total_steps = total_steps
        self.epochs = -(-total_steps // windows)
        self.characters = characters
        self.wants_bar = bar and sys.stderr.isatty()
        self.speed = 0.0
        self._bar: Any = None

    def start(self, step: int) -> None:
        if self.wants_bar:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total_steps,
                initial=step,
                desc=self._epoch(step),
                dynamic_ncols=True,
                mininterval=REDRAW,
                bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
            )

    def step(self, step: int) -> None:
        if self._bar is not None:
            self._bar.update()

    def loss(self, step: int, loss: float, speed: float) -> None:
        """A logged step: its loss (nats per character) and the characters per second."""
        if self._bar is not None:
            self._bar.set_description(self._epoch(step), refresh=False)
            self._bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} characters/s", refresh=False)
        else:
            say(f"{self._epoch(step)}, step {step} / {self.total_steps}, loss {loss:.3f}")
        self.speed = speed

    def validating(self, step: int) -> Callable[[int, int], None]:
        """What to call with the characters done and in all, while a validation runs."""
        told = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told < (REDRAW if self._bar is not None else TELL_EVERY):
                return
            told = now
            if self._bar is not None:
                self._bar.set_postfix_str(f"validating {done / total:.0%}")
            else:
                say(f"validating after step {step}: {done / total:.0%} of {total:,} characters")

        return report

    def validated(self, step: int, loss: float, improved: bool, seconds: float) -> None:
        note = ", the best so far" if improved else ""
        left = ""
        if self._bar is None and step < self.total_steps and self.speed:
            left = f", {duration((self.total_steps - step) * self.characters / self.speed)} left"
        line = f"validation after step {step}: loss {loss:.4f}{note}{left}"
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            say(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _epoch(self, step: int) -> str:
        # torch-rnn's way of counting: the first epoch is 1.00 to 1.99
        hundredths = 100 * max(0, step - 1) // self.windows
        return f"epoch {1 + hundredths / 100:.2f} / {self.epochs}"


def duration(seconds: float) -> str:
    """3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
