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
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.plugins.io import CheckpointIO

from charrnn.errors import Interrupted
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import ENTRY
from charrnn.options.ranges import check_ranges
from charrnn.options.training import PartOptions
from charrnn.say import say
from charrnn.training.datamodule import TextDataModule
from charrnn.training.lightning_loops import count_windows, is_validation_due
from charrnn.training.restoring import refuse_inexact
from charrnn.training.signals import Signals
from charrnn.training.validation import BestValidation, Validation, call_hook, is_fitting

LAST, BEST, MODEL = "last.ckpt", "best.ckpt", "model.safetensors"


class RunCheckpoints(Checkpoint):
    """Writes checkpoints and the model file, and ends the run after a signal.

    The files are written into the Trainer's `default_root_dir`. A resume is exact, so callbacks are
    refused that no checkpoint contains (`charrnn.training.restoring.INEXACT`).

    Args:
        every: steps between checkpoints; None: only at a validation with the lowest loss and at
            the end.
        keep_every: also write a checkpoint every `keep_every` steps that is never overwritten.
    """

    def __init__(self, every: int | None = None, keep_every: int | None = None) -> None:
        check_ranges(PartOptions, every=every, keep_every=keep_every)
        self.every, self.keep_every = every, keep_every
        self._signals = Signals()
        self._step = self._saved_step = 0  # the last trained step, and that of last.ckpt

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        refuse_inexact(trainer.callbacks)
        # Lightning sets its signal handlers between this hook and on_train_start.
        self._signals = Signals()
        self._signals.block()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._signals.start()
        self._step = self._saved_step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        step = trainer.global_step
        if step == self._step:
            return  # gradients are being accumulated
        self._step = step
        if step >= trainer.estimated_stepping_batches:
            trainer.should_stop = True  # Lightning then validates a last time
        is_last = _stops_early(trainer) and trainer.enable_validation
        windows = count_windows(trainer)
        if not is_last and not is_validation_due(trainer, trainer.current_epoch, *windows):
            self._save(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if is_fitting(trainer):
            repeated = trainer.global_step - self._saved_step
            self._signals.message = (
                f"stopped in the validation after step {trainer.global_step:,}; a resume repeats "
                f"{repeated:,} steps"
            )
            self._raise_received(self._signals.message)

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        self._signals.message = None
        self._save(trainer, pl_module, validation)

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._signals.stop()
        self._raise_received("stopped when the run had ended")  # before the next run of a sweep

    def on_exception(self, *_: Any) -> None:
        self._signals.stop()

    def _raise_received(self, message: str) -> None:
        if self._signals.received:
            raise Interrupted(message, self._signals.received)

    def _save(self, trainer: Any, module: Any, validation: Validation | None = None) -> None:
        """Write the checkpoints that are due at this step. Raise Interrupted after a signal."""
        step, received = trainer.global_step, self._reduce_signals(trainer)
        is_end = received or _stops_early(trainer) or step >= trainer.estimated_stepping_batches
        is_kept = self.keep_every is not None and step % self.keep_every == 0
        is_due = is_end or is_kept or (self.every is not None and step % self.every == 0)
        # Without validations, the newest network is the best.
        without_validation = is_due and not trainer.enable_validation
        is_best = without_validation if validation is None else validation.is_best
        names = [BEST] if is_best else []
        names += [f"step-{step}.ckpt"] if is_kept else []
        names += [LAST] if is_due or is_best else []
        if names and not trainer.fast_dev_run:
            self._write(trainer, module, names, validation)
        if received:  # With `should_stop`, Lightning would validate first.
            raise Interrupted(f"stopped after step {step:,}", received)

    def _write(
        self, trainer: L.Trainer, module: Any, names: list[str], validation: Validation | None
    ) -> None:
        module.check_finite()
        root = Path(trainer.default_root_dir)
        for name in names:
            if name == LAST:
                self._saved_step = trainer.global_step
                call_hook(trainer, "write_result")
            path = root / "checkpoints" / name
            trainer.save_checkpoint(path, weights_only=False)
            if name == BEST and trainer.is_global_zero:
                model = None if validation is None else validation.model
                # Without a validation: from best.ckpt, where averaged weights are.
                model_file.save(root / MODEL, model or checkpoint.read_model(path))

    def _reduce_signals(self, trainer: L.Trainer) -> int:
        """Return the signal that any rank has received, or 0, so that all stop at one step."""
        if trainer.world_size == 1:
            return self._signals.received
        # On the CPU, so that no rank waits for its GPU. A later signal waits for the next call.
        highest = torch.tensor(self._signals.received)
        torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
        return int(highest)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        # A run that another callback stopped, such as a Timer, is not finished, so a resume
        # continues it.
        stops = [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]
        has_stopped = any(stop.wait_count >= stop.patience for stop in stops)
        is_complete = trainer.global_step >= trainer.estimated_stepping_batches
        is_end = is_complete or (has_stopped and _stops_early(trainer))
        data = trainer.datamodule
        facts = data.resume_facts if isinstance(data, TextDataModule) else {}
        checkpoint.setdefault(ENTRY, {}).update(facts, finished=is_end)

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Forget the best loss if the folder lacks its model, as a new folder does."""
        step = pl_module.best.step  # Lightning has already restored the module.
        if trainer.state.fn != "fit" or not trainer.enable_validation or not step:
            return
        if not trainer.strategy.broadcast(Path(trainer.default_root_dir, MODEL).exists()):
            say(f"{MODEL} of step {step:,} is not in this folder; the next validation writes one")
            pl_module.best = BestValidation()


def _stops_early(trainer: L.Trainer) -> bool:
    """Return whether `should_stop` ends the training now, after `min_steps` and `min_epochs`."""
    has_min_steps = trainer.global_step >= (trainer.min_steps or 0)
    has_min_epochs = trainer.current_epoch >= (trainer.min_epochs or 0)
    return trainer.should_stop and has_min_steps and has_min_epochs


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
