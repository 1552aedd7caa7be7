"""Write the checkpoints and the model file of a run.

checkpoints/last.ckpt       every `checkpoint_every` steps, with each best.ckpt and at the end, for
                            an exact resume
checkpoints/best.ckpt       at the lowest validation loss
checkpoints/step-N.ckpt     every `keep_every` steps; never overwritten
model.safetensors           the best model, ready to sample

A checkpoint is the last action of a step, after its validation: Lightning calls a `Checkpoint`
callback after all others. So a resume repeats either all of a step or none of it. A signal in a
validation raises at once, and a resume repeats the steps since last.ckpt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch import callbacks as ready_made
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO
from torch.nn.utils.parametrize import is_parametrized

from charrnn.errors import Interrupted, RunError
from charrnn.files import make_folder
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import ENTRY
from charrnn.options.parts import PartOptions
from charrnn.options.ranges import check_ranges
from charrnn.say import say
from charrnn.training.datamodule import TextDataModule
from charrnn.training.lightning_loops import count_windows, is_validation_due
from charrnn.training.signals import Signals
from charrnn.training.validation import BestValidation, Validation

LAST, BEST, MODEL = "last.ckpt", "best.ckpt", "model.safetensors"


class RunCheckpoints(Checkpoint):
    """Writes checkpoints and the model file, and ends the run after a signal.

    The files are written into the Trainer's `default_root_dir`.

    Args:
        every: steps between checkpoints; None: only at a validation with the lowest loss and at
            the end.
        keep_every: also write a checkpoint every `keep_every` steps that is never overwritten.
    """

    def __init__(self, every: int | None = None, keep_every: int | None = None) -> None:
        check_ranges(PartOptions, every=every, keep_every=keep_every)
        self.every, self.keep_every = every, keep_every
        self.root, self._signals, self._step = Path(), Signals(), 0

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self.root = Path(trainer.default_root_dir)

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # Lightning sets its signal handlers between this hook and on_train_start.
        self._signals = Signals(verbose=trainer.is_global_zero)
        self._signals.block()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._signals.start()
        self._step = trainer.global_step
        if trainer.is_global_zero and not trainer.fast_dev_run:
            make_folder(self.root / "checkpoints")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == self._step:
            return  # gradients are being accumulated
        self._step = trainer.global_step
        if self._step >= trainer.estimated_stepping_batches:
            trainer.should_stop = True  # Lightning then validates a last time
        is_last = _stops_early(trainer) and trainer.enable_validation
        windows = count_windows(trainer)
        if not is_last and not is_validation_due(trainer, trainer.current_epoch, *windows):
            self._save(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._signals.interrupts = f"stopped in the validation after step {trainer.global_step:,}"
        if self._signals.received:  # since the step
            raise Interrupted(self._signals.interrupts, self._signals.received)

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        self._signals.interrupts = None
        self._save(trainer, pl_module, validation)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._signals.stop()
        if self._signals.received:  # so that the next run of a sweep does not start
            raise Interrupted("stopped when the run had ended", self._signals.received)

    def on_exception(self, *_: Any) -> None:
        self._signals.stop()

    def _save(self, trainer: Any, module: Any, validation: Validation | None = None) -> None:
        """Write the checkpoints that are due at this step. Raise Interrupted after a signal."""
        step, received = trainer.global_step, self._reduce_signals(trainer)
        is_end = received or _stops_early(trainer) or step >= trainer.estimated_stepping_batches
        is_kept = self.keep_every is not None and step % self.keep_every == 0
        is_due = is_end or is_kept or (self.every is not None and step % self.every == 0)
        # Without validations, the newest network is the best.
        is_best = is_due and not trainer.enable_validation
        is_best = is_best if validation is None else validation.is_best
        names = [BEST] * is_best + [f"step-{step}.ckpt"] * is_kept + [LAST] * (is_due or is_best)
        if names and not trainer.fast_dev_run:
            self._write(trainer, module, names, validation)
        if received:  # With `should_stop`, Lightning would validate first.
            raise Interrupted(f"stopped after step {step:,}", received)

    def _write(
        self, trainer: L.Trainer, module: Any, names: list[str], validation: Validation | None
    ) -> None:
        module.check_finite()
        folder = self.root / "checkpoints"
        if trainer.is_global_zero and not folder.is_dir():  # Writing would create it again.
            raise RunError(f"{folder}: was removed during the training")
        for logger in trainer.loggers:
            logger.save()
        for name in names:
            trainer.save_checkpoint(folder / name, weights_only=False)
            if name == BEST and trainer.is_global_zero:
                model = None if validation is None else validation.model
                model_file.save(self.root / MODEL, model or self._read_model(module))

    def _read_model(self, module: Any) -> Any:
        """Return the model without a validation: from best.ckpt, where averaged weights are."""
        if any(map(is_parametrized, module.network.modules())):  # A checkpoint has other names.
            return module.to_model().trained
        return checkpoint.read_model(self.root / "checkpoints" / BEST)

    def _reduce_signals(self, trainer: L.Trainer) -> int:
        """Return the signal that any rank has received, or 0, so that all stop at one step."""
        if trainer.world_size > 1:
            highest = torch.tensor(self._signals.received)  # on the CPU: no rank waits for its GPU
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
            self._signals.received = int(highest)
        return self._signals.received

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        callbacks: list[L.Callback] = trainer.callbacks
        # A run that another callback stopped, such as a Timer, is not finished, so a resume
        # continues it.
        stops = [
            callback for callback in callbacks if isinstance(callback, ready_made.EarlyStopping)
        ]
        has_stopped = any(stop.wait_count >= stop.patience for stop in stops)
        is_complete = trainer.global_step >= trainer.estimated_stepping_batches
        is_end = is_complete or (has_stopped and _stops_early(trainer))
        checkpoint.setdefault(ENTRY, {}).update(_describe_data(trainer), finished=is_end)

    def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Forget the best loss if the folder lacks its model, as a new folder does."""
        if trainer.state.fn != "fit" or not trainer.enable_validation or not module.best.step:
            return
        if not trainer.strategy.broadcast((self.root / MODEL).exists()):
            say(f"the best model so far, of step {module.best.step:,}, is not in this folder; the "
                f"next validation writes another")  # fmt: skip
            module.best = BestValidation()


def _describe_data(trainer: Any) -> dict[str, Any]:
    """Return the facts of the data that a resume compares."""
    data = trainer.datamodule
    if not isinstance(data, TextDataModule):
        return {}
    return {
        "fingerprint": data.encoded.fingerprint,
        "background": data.background.fingerprint,
        "earlier": {} if data.earlier is None else data.earlier.facts,
        "batch_size": data.streams.batch_size,
        "seq_length": data.streams.seq_length,
    }


def _stops_early(trainer: L.Trainer) -> bool:
    """Return whether `should_stop` ends the training now, after `min_steps` and `min_epochs`."""
    has_min_steps = trainer.global_step >= (trainer.min_steps or 0)
    return (
        trainer.should_stop and has_min_steps and trainer.current_epoch >= (trainer.min_epochs or 0)
    )


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's checkpoint files with atomic, synced writes and checked reads."""

    def save_checkpoint(self, content: Any, path: Any, storage_options: Any = None) -> None:
        # A plain dict, without the metadata that torch adds to a state dict.
        checkpoint.write(Path(path), {**content, "state_dict": dict(content["state_dict"])})

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint.read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
