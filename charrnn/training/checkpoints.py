"""Write the checkpoints and the model file of a run.

checkpoints/last.ckpt       every `checkpoint_every` steps, with each best.ckpt and at the end, for
                            an exact resume
checkpoints/best.ckpt       at the lowest validation loss
checkpoints/step-N.ckpt     every `keep_every` steps; never overwritten
model.safetensors           the best model, ready to sample

A checkpoint is the last action of a step, after its validation: Lightning calls a `Checkpoint`
callback after all others. So a resume repeats either all of a step or none of it.

Nothing is saved within a validation: after a signal there, a resume repeats the steps since
last.ckpt. So that these are few, last.ckpt is also written at the step before a validation that may
take long. At the validation's step it would be wrong: a resume could log the validation twice, and
after the last step Lightning would not validate.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, Any

import lightning as L
import torch
from lightning.pytorch import callbacks as ready_made
from lightning.pytorch.callbacks import Checkpoint
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
from charrnn.training.lightning_loops import (
    count_windows,
    is_validation_due,
    validates_after_next_step,
)
from charrnn.training.signals import Signals
from charrnn.training.validation import BestValidation, Validation

LAST = "last.ckpt"
BEST = "best.ckpt"
MODEL = "model.safetensors"
LONG = 30.0  # seconds of a validation, before which a checkpoint is written


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
        every: steps between checkpoints; None: only at a validation with the lowest loss, before a
            validation that may take over `LONG` seconds, and at the end.
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
        # of last.ckpt: the step, and when it was written
        self._saved_step, self._saved_at = 0, 0.0
        self._validation_start = 0.0
        self._may_take_long = True  # the next validation; the first one is unknown

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints."""
        return self.root / "checkpoints"

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
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

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._signals.start()
        self._step = self._saved_step = trainer.global_step
        self._saved_at = time.monotonic()
        if trainer.is_global_zero and not trainer.fast_dev_run:
            make_folder(self.folder)

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

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._validation_start = time.monotonic()

    def stop_after_signal(self, trainer: L.Trainer, pl_module: Any, is_working: bool) -> None:
        """Raise Interrupted after a signal in a validation.

        A rank that is not working waits here for the others, because all ranks stop together.
        """
        received, others_work = self._reduce_signals(trainer, is_working)
        while others_work and not received and not is_working:
            received, others_work = self._reduce_signals(trainer, False)
        if others_work and received:
            step, steps = trainer.global_step, trainer.global_step - self._saved_step
            message = f"stopped in the validation after step {step:,}"
            if steps:
                seconds = max(0.0, self._validation_start - self._saved_at)
                unit = "step" if steps == 1 else "steps"
                message += f"; {steps:,} {unit}, {seconds:.0f} s, will be repeated"
            raise Interrupted(message, received)

    def on_validated(self, trainer: L.Trainer, pl_module: Any, validation: Validation) -> None:
        took_long = time.monotonic() - self._validation_start > LONG
        self._may_take_long = trainer.strategy.broadcast(took_long)
        self._save(trainer, pl_module, validation)

    def _is_validation_next(self, trainer: L.Trainer) -> bool:
        is_last = _stops_early(trainer) and trainer.enable_validation
        return is_last or is_validation_due(trainer, trainer.current_epoch, *count_windows(trainer))

    def _save(self, trainer: Any, module: Any, validation: Validation | None = None) -> None:
        """Write the checkpoints that are due at this step. Raise Interrupted after a signal."""
        step = trainer.global_step
        received, _ = self._reduce_signals(trainer)
        is_end = received or _stops_early(trainer) or step >= trainer.estimated_stepping_batches
        is_kept = self.keep_every is not None and step % self.keep_every == 0
        is_due = is_end or is_kept or (self.every is not None and step % self.every == 0)
        is_due = is_due or (self._may_take_long and validates_after_next_step(trainer))
        # Without validations, the newest network is the best.
        without_validation = is_due and not trainer.enable_validation
        is_best = without_validation if validation is None else validation.is_best
        names = [BEST] if is_best else []
        names += [f"step-{step}.ckpt"] if is_kept else []
        names += [LAST] if is_due or is_best else []
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
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def _read_model(self, module: Any) -> TrainedModel:
        """Return the model without a validation: from best.ckpt, where averaged weights are."""
        # In a checkpoint, parametrized weights have other names.
        is_changed = any(map(is_parametrized, module.network.modules()))
        return (
            module.to_model().trained if is_changed else checkpoint.read_model(self.folder / BEST)
        )

    def _reduce_signals(self, trainer: L.Trainer, is_working: bool = False) -> tuple[int, bool]:
        """Return the signal that any rank has received, or 0, and whether any rank is working.

        So all ranks stop at the same step.
        """
        signals = self._signals
        received = signals.received or 0
        if trainer.world_size > 1:
            highest = torch.tensor([received, is_working])  # on the CPU: no rank waits for its GPU
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
            # A signal that arrives meanwhile has no effect before the next call.
            received, is_working = int(highest[0]), bool(highest[1])
        if received:
            signals.received = received
        return received, is_working

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
        checkpoint.setdefault(ENTRY, {}).update(
            _describe_data(trainer),
            finished=is_end,
        )

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the files of the best model. If they are lost, forget its loss."""
        if trainer.state.fn != "fit" or not trainer.enable_validation:
            return
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
