"""Show the progress of a training: as a bar on a terminal, as lines in a log file or a pipe."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from charrnn.say import format_duration, get_terminal_width, say
from charrnn.training.log import is_logged_step
from charrnn.training.validation import Validation

REDRAW_INTERVAL = 0.25  # seconds
LINE_WIDTH = 80  # characters of a sample's line in a log file
# seconds until the progress of a validation is shown, and at most between two lines of it
SCORING_DELAY, LINE_INTERVAL = 2.0, 60.0
LEAST_MEASURED = 2.0  # seconds of steps from which the time left is estimated


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
        self._num_samples = 0
        self._scoring_since = self._show_share_at = 0.0
        self._time_left = TimeLeft()
        self._numbers = ""  # the last loss and speed, for the bar

    def disable(self) -> None:
        """Turn the output off. Lightning calls this in all processes but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        self._is_enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._step, total = trainer.global_step, trainer.estimated_stepping_batches
        self._time_left = TimeLeft()
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

    def on_train_batch_start(self, *_: Any) -> None:
        self._time_left.end_validation()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        new_steps = trainer.global_step - self._step
        self._step += new_steps
        if not new_steps or not self._is_enabled:  # without a step, gradients are accumulated
            return
        self._time_left.add_step(self._step)
        total, metrics = trainer.estimated_stepping_batches, trainer.callback_metrics
        left = self._time_left.format(total)
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
        self._scoring_since = time.monotonic()
        self._time_left.begin_validation()
        self._show_share_at = self._scoring_since + SCORING_DELAY

    on_test_start = on_validation_start

    def on_scoring(self, trainer: L.Trainer, pl_module: Any, done: int, total: int) -> None:
        """Show the scored share of the text: on the bar, or in lines that become rarer."""
        now = time.monotonic()
        if not self._is_enabled or done == total or now < self._show_share_at or 100 * done < total:
            return
        share = f"validating: {done / total:.0%} of the text"
        if self._bar is not None:
            self._bar.set_postfix_str(share)
        else:
            self._show_share_at = now + min(now - self._scoring_since, LINE_INTERVAL)
            say(share)

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        best, note = validation.best, "the best so far"
        if not validation.is_best:
            note = f"the best is {best.loss:.4f} after step {best.step:,}"
        if "val/loss" in validation.losses:
            loss = f"loss {validation.losses['val/loss']:.4f}"
            self.print(f"validation after step {validation.step:,}: {loss}, {note}")
        if validation.sample is not None:
            self._show_sample(validation.sample)

    def _show_sample(self, text: str) -> None:
        """Print the longest line of a sample, for the first sample, the second, the fourth, ..."""
        self._num_samples += 1
        line = max(text.splitlines(), key=len, default="").strip()
        if line and self._num_samples.bit_count() == 1:
            width = (get_terminal_width(sys.stderr) or LINE_WIDTH + 6) - 6
            self.print(f"    {line[:width]}")

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line. Lightning calls this for the prints of a module."""
        if self._is_enabled:
            say(*" ".join(map(str, args)).split("\n"))

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


class TimeLeft:
    """Estimates the time left of a training from the speed so far, with the validations.

    The first step, in which libraries start, is not measured. The validations left are as frequent
    as those so far and take as long as the shortest, because the first one also counts the text.
    """

    def __init__(self) -> None:
        self._first_step = self._step = 0
        self._start = 0.0  # at the end of the first step
        self._validation_start: float | None = None
        self._validation_times: list[float] = []  # seconds

    def add_step(self, step: int) -> None:
        """Count a step that has ended."""
        if not self._step:
            self._first_step, self._start = step, time.monotonic()
        self._step = step

    def begin_validation(self) -> None:
        self._validation_start = time.monotonic()

    def end_validation(self) -> None:
        """End a validation with its sample and its files, if there was one."""
        if self._validation_start is not None:
            self._validation_times.append(time.monotonic() - self._validation_start)
            self._validation_start = None

    def format(self, total_steps: float) -> str:
        """Return the time left, or "" while it is unknown."""
        steps, steps_left = self._step - self._first_step, total_steps - self._step
        validations = self._validation_times
        step_time = time.monotonic() - self._start - sum(validations)
        if step_time < LEAST_MEASURED or not steps or not 0 < steps_left < math.inf:
            return ""
        seconds = step_time + len(validations) * min(validations, default=0.0)
        return f", {format_duration(seconds / steps * steps_left)} left"
