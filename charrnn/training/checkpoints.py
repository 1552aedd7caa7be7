"""Write the checkpoints and the model file of a run.

checkpoints/last.ckpt       every `checkpoint_every` steps and at the end, for an exact resume
checkpoints/best.ckpt       at the lowest validation loss
checkpoints/step-N.ckpt     every `keep_every` steps; never overwritten
model.safetensors           the best model, ready to sample

A checkpoint is the last action of a step, after its validation: Lightning calls a `Checkpoint`
callback after all others. So a resume repeats either all of a step or none of it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import lightning as L
import torch
from lightning.pytorch import callbacks as ready_made
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.plugins.io import CheckpointIO
from torch.nn.utils.parametrize import is_parametrized

from charrnn.errors import InputError, Interrupted, RunError
from charrnn.files import make_folder
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import ENTRY
from charrnn.models.trained import TrainedModel
from charrnn.options.ranges import AT_LEAST_1, check_arguments
from charrnn.say import say
from charrnn.training.datamodule import TextDataModule
from charrnn.training.restoring import is_validation_due
from charrnn.training.signals import Signals
from charrnn.training.validation import BestValidation, Validation, is_fitting

LAST = "last.ckpt"
BEST = "best.ckpt"
MODEL = "model.safetensors"


# These callbacks change the training at the start of an epoch, and checkpoints do not contain it.
# The values say what to use instead of them.
INEXACT: dict[type, str] = {
    ready_made.StochasticWeightAveraging: " (callbacks=ema averages the weights, and resumes)",
    ready_made.GradientAccumulationScheduler: " (trainer.accumulate_grad_batches= resumes)",
    **dict.fromkeys((ready_made.BaseFinetuning, ready_made.ModelPruning), ""),
    **dict.fromkeys((ready_made.BatchSizeFinder, ready_made.LearningRateFinder), ""),
}


class RunCheckpoints(Checkpoint):
    """Writes checkpoints and the model file, and ends the run after a signal.

    The files are written into the Trainer's `default_root_dir`. A resume is exact, so in a training
    callbacks are refused that no checkpoint contains (`INEXACT`).

    Args:
        every: steps between checkpoints; None: only at a validation with the lowest loss, and at
            the end.
        keep_every: also write a checkpoint every `keep_every` steps that is never overwritten.
    """

    def __init__(
        self,
        every: Annotated[int | None, AT_LEAST_1] = None,
        keep_every: Annotated[int | None, AT_LEAST_1] = None,
    ) -> None:
        values = {"every": every, "keep_every": keep_every}
        check_arguments(RunCheckpoints.__init__, "callbacks.checkpoints.", **values)
        self.every, self.keep_every = every, keep_every
        self.root = Path()
        self._signals = Signals()
        self._step = 0
        self._needs_validation = False

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints."""
        return self.root / "checkpoints"

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        self.root = Path(trainer.default_root_dir)
        for callback in trainer.callbacks if stage == "fit" else ():
            for kind, hint in INEXACT.items():
                if isinstance(callback, kind):
                    raise InputError(
                        f"callbacks: {type(callback).__name__} does not resume exactly; leave it "
                        f"out{hint}"
                    )

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # Lightning sets its signal handlers between this hook and on_train_start.
        self._signals = Signals(verbose=trainer.is_global_zero)
        self._signals.block()
        if self._needs_validation and trainer.max_steps != -1:
            # Lightning would skip all hooks of a run at its last step. The fraction prevents this,
            # and is too small for other callbacks.
            trainer.fit_loop.epoch_loop.max_steps += 0.001

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._signals.start()
        self._step = trainer.global_step
        if trainer.is_global_zero and not trainer.fast_dev_run:
            make_folder(self.folder)
        if self._needs_validation:
            self._needs_validation = False
            trainer.fit_loop.epoch_loop.max_steps = int(trainer.max_steps)
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        step, previous_step = trainer.global_step, self._step
        self._step = step
        if step == previous_step:
            return  # gradients are being accumulated
        if step >= trainer.estimated_stepping_batches:
            trainer.should_stop = True  # Lightning then validates a last time
        if not self._is_validation_next(trainer):
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._signals.stop()
        self._signals.raise_received()

    def on_exception(self, *_: Any) -> None:
        self._signals.stop()

    def on_scoring(self, trainer: L.Trainer, pl_module: Any, done: int, total: int) -> None:
        """Save and stop after a signal in a validation. A resume begins with this validation.

        A rank that is done waits here, because all ranks must stop together.
        """
        if not is_fitting(trainer):
            return
        received, is_scoring = self._reduce_signals(trainer, done < total)
        while is_scoring and not received and done == total:
            received, is_scoring = self._reduce_signals(trainer, False)
        if is_scoring and received:
            for callback in trainer.callbacks:
                if isinstance(callback, WeightAveraging):
                    callback.on_validation_epoch_end(trainer, pl_module)  # the trained weights
            self._needs_validation = True
            if not trainer.fast_dev_run:
                self._write(trainer, pl_module, [LAST])
            step = trainer.global_step
            raise Interrupted(f"stopped in the validation after step {step:,}", received)

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        self._save(trainer, pl_module, validation)

    def _is_validation_next(self, trainer: L.Trainer) -> bool:
        loop = trainer.fit_loop
        window, total_windows = loop.batch_idx + 1, loop.total_batch_idx + 1
        is_last = _stops_early(trainer) and trainer.enable_validation
        return is_last or is_validation_due(trainer, trainer.current_epoch, window, total_windows)

    def _save(self, trainer: L.Trainer, module: Any, validation: Validation | None = None) -> None:
        """Write the checkpoints that are due at this step. Raise Interrupted after a signal."""
        step = trainer.global_step
        received, _ = self._reduce_signals(trainer)
        is_end = received or _stops_early(trainer) or step >= trainer.estimated_stepping_batches
        is_kept = self.keep_every is not None and step % self.keep_every == 0
        is_due = is_end or is_kept or (self.every is not None and step % self.every == 0)
        is_best = is_due and not trainer.enable_validation
        is_best = is_best if validation is None else validation.is_best
        names = [BEST] if is_best else []
        names += [f"step-{step}.ckpt"] if is_kept else []
        names += [LAST] if is_due else []
        if names and not trainer.fast_dev_run:
            self._write(trainer, module, names, validation)
        if received:
            # With `should_stop`, Lightning would validate first.
            raise Interrupted(f"stopped after step {step:,}", received)

    def _write(
        self,
        trainer: L.Trainer,
        module: Any,
        names: list[str],
        validation: Validation | None = None,
    ) -> None:
        module.check_finite()
        if trainer.is_global_zero and not self.folder.is_dir():
            # Writing would create the folder again.
            raise RunError(f"{self.folder}: was removed during the training")
        for logger in trainer.loggers:
            logger.save()
        for name in names:
            trainer.save_checkpoint(self.folder / name, weights_only=False)
            if name == BEST and trainer.is_global_zero:
                model = None if validation is None else validation.model
                model_file.save(self.root / MODEL, model or self._read_model(module))

    def _read_model(self, module: Any) -> TrainedModel:
        """Return the model without a validation: from best.ckpt, where averaged weights are."""
        # In a checkpoint, parametrized weights have other names.
        is_changed = any(map(is_parametrized, module.network.modules()))
        return (
            module.to_model().trained if is_changed else checkpoint.read_model(self.folder / BEST)
        )

    def _reduce_signals(self, trainer: L.Trainer, is_scoring: bool = False) -> tuple[int, bool]:
        """Return the signal that any rank has received, or 0, and whether any rank is scoring.

        So all ranks stop at the same step.
        """
        signals = self._signals
        received = signals.received or 0
        if trainer.world_size > 1:
            highest = torch.tensor([received, is_scoring])  # on the CPU: no rank waits for its GPU
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
            # A signal that arrives meanwhile has no effect before the next call.
            received, is_scoring = int(highest[0]), bool(highest[1])
        if received:
            signals.received = received
        return received, is_scoring

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        callbacks: list[L.Callback] = trainer.callbacks
        has_stopped = any(getattr(callback, "has_stopped", False) for callback in callbacks)
        is_complete = trainer.global_step >= trainer.estimated_stepping_batches
        is_end = is_complete or (has_stopped and _stops_early(trainer))
        checkpoint.setdefault(ENTRY, {}).update(
            _describe_data(trainer),
            finished=is_end and not self._needs_validation,
            needs_validation=self._needs_validation,
        )

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the files of the best model. If they are lost, forget its loss."""
        if trainer.state.fn != "fit" or not trainer.enable_validation:
            return
        self._needs_validation = checkpoint[ENTRY].get("needs_validation", False)
        # Lightning has already restored the module.
        has_best = trainer.is_global_zero and self._restore_best(trainer, pl_module.best.step)
        if not trainer.strategy.broadcast(has_best):
            pl_module.best = BestValidation()

    def _restore_best(self, trainer: L.Trainer, step: int) -> bool:
        """Return whether the folder has the files of the best model, or there is none yet.

        A new folder gets them from the resumed checkpoint, or from the best.ckpt next to it.
        """
        model = self.root / MODEL
        if not step or model.exists():
            return True
        resumed = Path(str(trainer.ckpt_path))
        for source in (resumed, resumed.with_name(BEST)):
            with contextlib.suppress(InputError):
                content = checkpoint.read(source)
                if content["global_step"] == step:
                    checkpoint.write(self.folder / BEST, content)
                    model_file.save(model, checkpoint.parse_model(source, content))
                    return True
        say(f"the best model so far, of step {step:,}, is lost; the next validation writes another")
        return False


def _describe_data(trainer: L.Trainer) -> dict[str, Any]:
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
    has_min_epochs = trainer.current_epoch >= (trainer.min_epochs or 0)
    return trainer.should_stop and has_min_steps and has_min_epochs


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's checkpoint files with atomic, synced writes and checked reads."""

    def save_checkpoint(
        self, content: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        # A plain dict, without the metadata that torch adds to a state dict.
        content = {**content, "state_dict": dict(content["state_dict"])}
        checkpoint.write(Path(path), content)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint.read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
