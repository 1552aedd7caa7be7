"""Show the progress of a training: as a bar on a terminal, as lines in a log file or a pipe."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from charrnn.say import get_terminal_width, say
from charrnn.training.log import is_logged_step
from charrnn.training.validation import Validation

REDRAW_INTERVAL = 0.25  # seconds
LINE_WIDTH = 80  # characters of a sample's line in a log file
# seconds until the progress of a validation is shown, and at most between two lines of it
SCORING_DELAY, LINE_INTERVAL = 2.0, 60.0


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

    def disable(self) -> None:
        """Turn the output off. Lightning calls this in all processes but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        self._is_enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._step, total = trainer.global_step, trainer.estimated_stepping_batches
        if self._is_enabled and self.has_bar:
            end = "?" if total == math.inf else f"{int(total):,}"
            self._bar = tqdm(
                # The total is infinite if a time limit or a callback ends the training.
                total=None if total == math.inf else int(total),
                initial=self._step,
                desc=_format_epoch(trainer, pl_module),
                dynamic_ncols=True,
                mininterval=REDRAW_INTERVAL,
                bar_format=f"{{desc}} |{{bar}}| {{n:,}}/{end}, {{remaining}} left{{postfix}}",
            )

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        step, previous_step = trainer.global_step, self._step
        self._step = step
        if self._bar is not None:
            self._bar.update(step - previous_step)
        is_due = step > previous_step and self._is_enabled and is_logged_step(trainer, step)
        metrics, epoch = trainer.callback_metrics, _format_epoch(trainer, pl_module)
        if not is_due or "train/loss" not in metrics:  # not if all windows so far were skipped
            return
        loss = f"loss {float(metrics['train/loss']):.3f}"
        if self._bar is not None:
            speed = f"{float(metrics['characters_per_second']) / 1000:.3g}k/s"
            self._bar.set_description_str(epoch, refresh=False)
            self._bar.set_postfix_str(f"{loss}, {speed}", refresh=False)
        else:
            total = trainer.estimated_stepping_batches
            end = "" if total == math.inf else f" / {int(total):,}"
            say(f"{epoch}, step {step:,}{end}, {loss}")

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._scoring_since = time.monotonic()
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
