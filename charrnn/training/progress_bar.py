"""Show the progress of a training: as a bar on a terminal, as lines in a log file or a pipe."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from charrnn.say import format_duration, say
from charrnn.training.log import is_logged_step
from charrnn.training.validation import Validation

SAMPLE_WIDTH = 74  # characters of the shown line of a sample
REDRAW_INTERVAL = 0.25  # seconds
LEAST_MEASURED = 2.0  # seconds from which the time left is estimated


class Progress(ProgressBar):
    """Shows epoch, step, loss, characters per second, the remaining time, and each validation.

    Args:
        bar: show a bar on a terminal. Without it, a terminal gets the same lines as a file.
    """

    def __init__(self, bar: bool = True) -> None:
        super().__init__()
        self.has_bar = bar and sys.stderr.isatty()
        self._is_enabled = True
        self._bar: Any = None
        self._step = 0
        self._measured_from: tuple[int, float] | None = None  # the step and time of the first step
        self._has_validated = False
        self._validation_start = 0.0
        self._numbers = ""  # the last loss and speed, for the bar

    def disable(self) -> None:
        """Turn the output off. Lightning calls this in all processes but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        self._is_enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._step, total = trainer.global_step, trainer.estimated_stepping_batches
        self._measured_from, self._has_validated = None, False
        if self._is_enabled and self.has_bar:
            end = "?" if total == math.inf else f"{int(total):,}"
            self._bar = tqdm(
                # The total is infinite if a time limit or a callback ends the training.
                total=None if total == math.inf else int(total),
                initial=self._step,
                desc=_format_epoch(trainer, pl_module),
                dynamic_ncols=True,
                mininterval=REDRAW_INTERVAL,
                bar_format=f"{{desc}} |{{bar}}| {{n:,}}/{end}{{postfix}}",
            )

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        new_steps = trainer.global_step - self._step
        self._step += new_steps
        if not new_steps or not self._is_enabled:  # without a step, gradients are accumulated
            return
        total, metrics = trainer.estimated_stepping_batches, trainer.callback_metrics
        left = self._format_time_left(total)
        # There is no loss yet if all windows so far were skipped.
        is_due = is_logged_step(trainer, self._step) and "train/loss" in metrics
        if self._bar is not None:
            if is_due:
                loss, speed = (float(metrics[n]) for n in ("train/loss", "characters_per_second"))
                self._numbers = f", loss {loss:.3f}, {speed / 1000:.3g}k/s"
                self._bar.set_description_str(_format_epoch(trainer, pl_module), refresh=False)
            self._bar.set_postfix_str(f"{left}{self._numbers}".lstrip(", "), refresh=False)
            self._bar.update(new_steps)
        elif is_due:
            end = "" if total == math.inf else f" / {int(total):,}"
            loss = float(metrics["train/loss"])
            epoch = _format_epoch(trainer, pl_module)
            say(f"{epoch}, step {self._step:,}{end}, loss {loss:.3f}{left}")

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._validation_start = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str("validating")

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        best, note = validation.best, "the best so far"
        if not validation.is_best:
            note = f"the best is {best.loss:.4f} after step {best.step:,}"
        if "val/loss" in validation.losses:
            loss = f"loss {validation.losses['val/loss']:.4f}"
            self.print(f"validation after step {validation.step:,}: {loss}, {note}")
        if validation.sample is not None:
            longest = max(validation.sample.splitlines(), key=len, default="")
            self.print(f"    {longest.strip()[:SAMPLE_WIDTH]}")
        if not self._has_validated and self._measured_from is not None:
            # The first validation also counts the text, so its time says nothing about the others.
            first_step, start = self._measured_from
            self._measured_from = first_step, start + time.monotonic() - self._validation_start
        self._has_validated = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line. Lightning calls this for the prints of a module."""
        if self._is_enabled:
            say(*" ".join(map(str, args)).split("\n"))

    def _format_time_left(self, total_steps: float) -> str:
        """Return the time left at the speed so far, or "" while it is unknown.

        The first step, in which libraries start, is not measured.
        """
        now, steps_left = time.monotonic(), total_steps - self._step
        first_step, start = self._measured_from = self._measured_from or (self._step, now)
        if now - start < LEAST_MEASURED or not 0 < steps_left < math.inf:
            return ""
        seconds = (now - start) / (self._step - first_step) * steps_left
        return f", {format_duration(seconds)} left"

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    on_exception = on_train_end


def _format_epoch(trainer: L.Trainer, module: Any) -> str:
    """Format the number of trained epochs, as in metrics.csv, and the total number."""
    done, total = trainer.global_step, trainer.estimated_stepping_batches
    end = "" if total == math.inf else f" / {module.format_epochs(total)}"
    return f"epoch {module.format_epochs(done)}{end}"
