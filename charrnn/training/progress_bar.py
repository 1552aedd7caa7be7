"""Where a training is: a bar on a terminal, elsewhere (a log, a pipe) a line on logged steps."""

from __future__ import annotations

import math
import shutil
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from charrnn.say import say
from charrnn.training.log import is_logged_step

REDRAW = 0.25  # seconds between two states of the bar
# seconds between two samples on a terminal, and how many of their lines are shown
SHOW_EVERY, SHOWN_LINES = 60.0, 3


class Progress(ProgressBar):
    """Shows epoch, step, loss, characters per second and the time left; each validation in a line.

    Args:
        bar: whether a terminal gets a bar; without one it gets lines as a file does.
    """

    def __init__(self, bar: bool = True) -> None:
        super().__init__()
        self.has_bar = bar and sys.stderr.isatty()
        self._is_enabled = True
        self._bar: Any = None
        self._step = 0
        self._sample_shown_at = -math.inf

    def disable(self) -> None:
        """Lightning calls this in all processes but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        self._is_enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._step, total = trainer.global_step, trainer.estimated_stepping_batches
        if self._is_enabled and self.has_bar:
            of = "?" if total == math.inf else f"{int(total):,}"
            self._bar = tqdm(
                # a training may end by time, or by what a callback says
                total=None if total == math.inf else int(total),
                initial=self._step,
                desc=_epoch(trainer, pl_module),
                dynamic_ncols=True,
                mininterval=REDRAW,
                bar_format=f"{{desc}} |{{bar}}| {{n:,}}/{of}, {{remaining}} left{{postfix}}",
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, before = trainer.global_step, self._step
        self._step = step
        if self._bar is not None:
            self._bar.update(step - before)
        is_due = step > before and self._is_enabled and is_logged_step(trainer, step)
        if not is_due or pl_module.last_loss is None:  # None: every window so far was skipped
            return
        metrics, epoch = trainer.callback_metrics, _epoch(trainer, pl_module)
        loss = f"loss {float(metrics['train/loss']):.3f}"
        if self._bar is not None:
            speed = f"{float(metrics['characters_per_second']) / 1000:.3g}k/s"
            self._bar.set_description_str(epoch, refresh=False)
            self._bar.set_postfix_str(f"{loss}, {speed}", refresh=False)
        else:
            total = trainer.estimated_stepping_batches
            of = "" if total == math.inf else f" / {int(total):,}"
            say(f"{epoch}, step {step:,}{of}, {loss}")

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        is_fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if not is_fitting or "val/loss" not in trainer.callback_metrics:
            return
        step, best = trainer.global_step, pl_module.best
        loss = float(trainer.callback_metrics["val/loss"])
        note = "the best so far"
        if best.step != step:
            note = f"the best is {best.loss:.4f} after step {best.step:,}"
        self.print(f"validation after step {step:,}: loss {loss:.4f}, {note}")

    def show_sample(self, text: str) -> None:
        """Let a terminal see how a sample begins, if it saw none for a while."""
        now = time.monotonic()
        if self._bar is None or now - self._sample_shown_at < SHOW_EVERY:
            return
        self._sample_shown_at = now
        width = shutil.get_terminal_size().columns - 6
        for line in [line for line in text.splitlines() if line.strip()][:SHOWN_LINES]:
            self.print(f"    {line[:width]}")

    def print(self, *args: Any, **kwargs: Any) -> None:
        """A line; Lightning sends the prints of a module here."""
        if self._is_enabled:
            say(" ".join(map(str, args)))

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _epoch(trainer: L.Trainer, module: Any) -> str:
    """How many epochs are done, as in metrics.csv, and how many there will be."""
    done, total = trainer.global_step, trainer.estimated_stepping_batches
    of = "" if total == math.inf else f" / {module.epochs(total)}"
    return f"epoch {module.epochs(done)}{of}"
