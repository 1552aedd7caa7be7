"""How a run tells the person before it where it is, on standard error.

On a terminal a bar, and now and then how a sample begins; elsewhere (a log file, a pipe) a line
on every logged step.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar

from charrnn.say import duration, fitted, plain, say, width_of
from charrnn.text.vocabulary import TerminalText
from charrnn.training.log import characters_of_step, is_logged

# seconds between two states of a bar, and between two lines about a validation elsewhere
REDRAW, TELL_EVERY = 0.25, 5.0
SHORTEST_BAR = 5  # columns
# seconds between two samples on a terminal, and how many of their lines are shown
SHOW_EVERY, SHOWN_LINES = 60.0, 3


class Progress(ProgressBar):
    """Shows epoch, step, both losses, the best, characters per second and the time left.

    Args:
        bar: whether a terminal gets a bar; without one it gets lines as a file does.
    """

    def __init__(self, bar: bool = True) -> None:
        super().__init__()
        self.wants_bar = bar and sys.stderr.isatty()
        self.speed = 0.0
        self.characters = 0
        self._bar: Any = None
        self._speaks = True
        self._told = 0.0
        self._validated = ""
        self._shown_at = float("-inf")

    def disable(self) -> None:
        """Lightning calls this in all processes but the first."""
        self._speaks = False

    def enable(self) -> None:
        self._speaks = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.step, total = trainer.global_step, trainer.estimated_stepping_batches
        # a training may end by time, or by what a callback says
        self.total_steps = None if total == math.inf else int(total)
        self.steps_per_epoch = pl_module.steps_per_epoch
        if self._speaks and self.wants_bar:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total_steps,
                initial=self.step,
                desc=self._epoch(),
                dynamic_ncols=True,
                mininterval=REDRAW,
                # so short that all of it stands in 80 columns
                bar_format="{desc}, step {n_fmt}{postfix}"
                if self.total_steps is None
                else "{desc} |{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}",
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, before = trainer.global_step, self.step
        self.step = step
        if self._bar is not None:
            self._bar.update(step - before)
        if step == before or not is_logged(trainer, step) or not self._speaks:
            return
        metrics = trainer.callback_metrics
        loss, self.speed = float(metrics["train/loss"]), float(metrics["characters_per_second"])
        self.characters = characters_of_step(trainer, batch)
        if self._bar is not None:
            self._bar.set_description_str(self._epoch(), refresh=False)
            speed = f", {self.speed / 1000:.3g}k/s"
            self._bar.set_postfix_str(
                self._fitting([f"loss {loss:.3f}", self._validated, speed]), refresh=False
            )
        else:
            of = "" if self.total_steps is None else f" / {self.total_steps}"
            say(f"{self._epoch()}, step {step}{of}, loss {loss:.3f}")

    def validating(self, done: int, total: int) -> None:
        """A validation has come so far: characters done and in all."""
        now = time.monotonic()
        if not self._speaks or now - self._told < (REDRAW if self._bar is not None else TELL_EVERY):
            return
        self._told = now
        if self._bar is not None:
            self._bar.set_postfix_str(f"validating {done / total:.0%}")
        else:
            say(f"validating after step {self.step}: {done / total:.0%} of {total:,} characters")

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._told = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not self._speaks or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if "val/loss" not in trainer.callback_metrics:
            return
        step, best = trainer.global_step, pl_module.best
        loss = float(trainer.callback_metrics["val/loss"])
        note, self._validated = ", the best so far", f", best val {loss:.3f}"
        if best.is_missing:
            note, self._validated = ", far worse than guessing", f", val {loss:.3g}"
        elif best.step != step:
            note = f", the best is {best.loss:.4f} after step {best.step}"
            self._validated = f", val {loss:.3f}, best {best.loss:.3f}"
        shown = f"{loss:.4f}" if loss < 1e4 else f"{loss:.4g}"
        left, steps_left = "", (self.total_steps or step) - step
        if self._bar is None and steps_left > 0 and self.speed:
            left = f", {duration(steps_left * self.characters / self.speed)} left"
        self.print(f"validation after step {step}: loss {shown}{note}{left}")

    def show(self, sample: str) -> None:
        """A text was sampled: let a terminal see how it begins, if it saw none for a while."""
        now = time.monotonic()
        if self._bar is None or now - self._shown_at < SHOW_EVERY:
            return
        self._shown_at = now
        shown = TerminalText(sys.stderr.encoding).encoded(sample, last=True)
        lines = [line for line in shown.decode(sys.stderr.encoding).splitlines() if line.strip()]
        room = shutil.get_terminal_size().columns - 6
        for line in lines[:SHOWN_LINES]:
            self.print(f"    {line[:room]}")

    def print(self, *args: Any, **kwargs: Any) -> None:
        """A line beside the bar; Lightning sends the prints of a module here."""
        line = " ".join(map(str, args))
        if self._bar is not None:
            self._bar.write("\n".join(fitted(plain(line), width_of(sys.stderr))), file=sys.stderr)
        elif self._speaks:
            say(line)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _fitting(self, parts: list[str]) -> str:
        """As many of these parts, the most needed first, as leave room for a bar."""
        count = f"{self.total_steps or self.step}"
        room = shutil.get_terminal_size().columns - len(self._epoch()) - 2 * len(count)
        room -= len(" |||/, 0:00:00 left, ") + SHORTEST_BAR
        while len(parts) > 1 and sum(map(len, parts)) > room:
            parts = parts[:-1]
        return "".join(parts)

    def _epoch(self) -> str:
        hundredths = 100 * self.step // self.steps_per_epoch  # of what is done, as in metrics.csv
        epoch = f"epoch {hundredths / 100:.2f}"
        if self.total_steps is None:
            return epoch
        return f"{epoch} / {-(-self.total_steps // self.steps_per_epoch)}"
