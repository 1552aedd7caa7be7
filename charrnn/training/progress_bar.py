"""Show the progress of a training: as a bar on a terminal, as lines in a log file or a pipe."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from charrnn.files import shorten_path
from charrnn.say import format_duration, say
from charrnn.training.datamodule import TextDataModule
from charrnn.training.log import is_logged_step
from charrnn.training.validation import Validation

SAMPLE_WIDTH = 74  # characters of the shown line of a sample
REDRAW_INTERVAL = 0.25  # seconds
LEAST_MEASURED = 2.0  # seconds from which the time left is estimated


class Progress(ProgressBar):
    """Prints what a run trains on, and shows epoch, step, loss, time left and each validation."""

    def __init__(self) -> None:
        super().__init__()
        self._is_enabled = True
        self._bar: Any = None
        self._step = 0
        self._start = 0, 0.0  # the first step, and its time in seconds

    def disable(self) -> None:
        """Turn the output off. Lightning calls this in all processes but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        self._is_enabled = True

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self._is_enabled and isinstance(data := trainer.datamodule, TextDataModule):
            _announce(trainer, pl_module, data)
        self._step, total = trainer.global_step, trainer.estimated_stepping_batches
        self._start = self._step, time.monotonic()
        if self._is_enabled and sys.stderr.isatty():
            self._bar = tqdm(
                # The total is infinite if a time limit or a callback ends the training.
                total=None if total == math.inf else int(total),
                initial=self._step,
                dynamic_ncols=True,
                mininterval=REDRAW_INTERVAL,
                bar_format="{desc} |{bar}|",
            )

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        new_steps = trainer.global_step - self._step
        self._step += new_steps
        if not new_steps or not self._is_enabled:  # without a step, gradients are accumulated
            return
        if self._bar is not None:
            self._bar.set_description_str(self._describe(trainer, pl_module), refresh=False)
            self._bar.update(new_steps)
        elif is_logged_step(trainer, self._step):
            say(self._describe(trainer, pl_module))

    def _describe(self, trainer: L.Trainer, module: Any) -> str:
        """Return a line with epoch, step, loss and the remaining time."""
        total, loss = trainer.estimated_stepping_batches, trainer.callback_metrics.get("train/loss")
        epochs, steps = module.format_epochs(self._step), f"{self._step:,}"
        if total != math.inf:
            epochs, steps = f"{epochs} / {module.format_epochs(total)}", f"{steps} / {int(total):,}"
        # There is no loss yet if all windows so far were skipped.
        shown_loss = "" if loss is None else f", loss {float(loss):.3f}"
        return f"epoch {epochs}, step {steps}{shown_loss}{self._format_time_left(total)}"

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

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line. Lightning calls this for the prints of a module."""
        if self._is_enabled:
            say(*" ".join(map(str, args)).split("\n"))

    def _format_time_left(self, total_steps: float) -> str:
        """Return the time left at the speed so far, or "" while it is unknown."""
        first_step, start = self._start
        seconds, steps_left = time.monotonic() - start, total_steps - self._step
        if seconds < LEAST_MEASURED or not 0 < steps_left < math.inf:
            return ""
        return f", {format_duration(seconds / (self._step - first_step) * steps_left)} left"

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    on_exception = on_train_end


def _announce(trainer: Any, module: Any, data: TextDataModule) -> None:
    """Print the text, the network, the streams and the device of a training."""
    steps = trainer.estimated_stepping_batches
    encoded, streams, arch = data.encoded, data.streams, module.network.architecture
    sizes = {name: len(ids) for name, ids in encoded.splits.items()}
    say(f"corpus: {data.source}")
    say(f"  {sum(sizes.values()):,} characters, {len(data.vocabulary):,} different ones")
    say("  " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    say(
        f"model: {arch.kind}, {arch.num_layers} x {arch.hidden_size}, embedding "
        f"{arch.embedding_size}, dropout {arch.dropout:g}; "
        f"{arch.num_parameters:,} parameters"
    )
    total = "" if steps == math.inf else f", {module.format_epochs(steps)} epochs in all"
    say(
        f"streams: {streams.batch_size} x {streams.seq_length} characters a step, "
        f"{module.steps_per_epoch:,} steps an epoch{total}"
    )
    say(f"device: {_describe_device(trainer, module)}")
    if trainer.ckpt_path:
        path = shorten_path(str(trainer.ckpt_path))
        say(f"resuming from {path}, step {trainer.global_step:,}")


def _describe_device(trainer: L.Trainer, module: Any) -> str:
    """Describe the device, the processes and the precision in a line."""
    device = trainer.strategy.root_device
    if device.type == "cpu":
        threads = module.num_batch_shards * torch.get_num_threads()
        name = f"CPU, {threads} thread" + "s" * (threads != 1)
    else:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple GPU"
    several = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    return f"{name}{several}, precision {trainer.precision}"
