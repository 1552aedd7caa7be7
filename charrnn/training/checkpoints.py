"""What a run saves, and when.

checkpoints/last.ckpt       rolling; everything that an exact resume needs
checkpoints/best.ckpt       at the lowest validation loss
checkpoints/step-N.ckpt     every `keep_every` steps, kept for good
model.safetensors           the best model, ready to sample

A checkpoint of a step comes after everything else that belongs to the step, its validation
included, so that a kill anywhere before it repeats the whole from the checkpoint before, and
one after it has lost nothing. Lightning itself calls a `Checkpoint` callback after all others.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO
from torch.nn.utils.parametrize import is_parametrized

from charrnn.errors import InputError, Interrupted, RunError
from charrnn.files import make_folder
from charrnn.models import checkpoint, model_file
from charrnn.models.checkpoint import ENTRY
from charrnn.options.ranges import AT_LEAST_1, check_arguments
from charrnn.say import say
from charrnn.training.counting import CharacterCounts
from charrnn.training.divergence import BestValidation
from charrnn.training.log import TrainingLog
from charrnn.training.restoring import is_validation_due
from charrnn.training.signals import Signals

LAST = "last.ckpt"
BEST = "best.ckpt"
MODEL = "model.safetensors"


@dataclass
class CheckpointContext:
    """Facts of the run that the callback of the checkpoints needs.

    Attributes:
        entry: plain values that every checkpoint holds, for a resume: the config, and which data.
    """

    folder: Path
    checkpoint_every: int
    signals: Signals
    entry: dict[str, Any] = field(default_factory=dict)


class RunCheckpoints(Checkpoint):
    """Writes checkpoints and the model file, and ends the run when a signal asked for it.

    Args:
        checkpoint_context: of the run; `charrnn train` gives it.
        keep_every: keep the checkpoint of every so many steps for good.
    """

    def __init__(
        self,
        checkpoint_context: CheckpointContext,
        keep_every: Annotated[int | None, AT_LEAST_1] = None,
    ) -> None:
        check_arguments(RunCheckpoints.__init__, "callbacks.checkpoints.", keep_every=keep_every)
        self.context = checkpoint_context
        self.folder = checkpoint_context.folder / "checkpoints"
        self.keep_every = keep_every
        self._step = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # between here and on_train_start Lightning puts handlers of its own in place
        self.context.signals.hold()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.context.signals.defer()
        self._step = trainer.global_step
        if trainer.is_global_zero and not trainer.fast_dev_run:
            make_folder(self.folder)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, before = trainer.global_step, self._step
        self._step = step
        if step == before:
            return  # the gradients of several windows are being added up
        if step >= trainer.estimated_stepping_batches:
            trainer.should_stop = True  # after which Lightning validates once more
        if self._validation_follows(trainer):
            return
        self._save(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer, pl_module)

    def _validation_follows(self, trainer: L.Trainer) -> bool:
        loop = trainer.fit_loop
        window, trained = loop.batch_idx + 1, loop.total_batch_idx + 1
        ends = _ends_early(trainer) and trainer.enable_validation
        return ends or is_validation_due(trainer, trainer.current_epoch, window, trained)

    def _save(self, trainer: L.Trainer, module: Any) -> None:
        step = trainer.global_step
        stops = self._asked_to_stop(trainer)
        ends = stops or _ends_early(trainer) or step >= trainer.estimated_stepping_batches
        keeps = self.keep_every is not None and step % self.keep_every == 0
        rolls = ends or keeps or step % self.context.checkpoint_every == 0
        is_best = module.best.step == step
        exports = is_best or (rolls and not trainer.enable_validation)
        names = [BEST] if exports else []
        names += [f"step-{step}.ckpt"] if keeps else []
        names += [LAST] if rolls else []
        if names and not trainer.fast_dev_run:
            self._write(trainer, module, names)
        if stops:
            received = self.context.signals.received
            assert received is not None
            # no `should_stop`: Lightning would validate first
            raise Interrupted(f"stopped after step {step:,}", received)

    def _write(self, trainer: L.Trainer, module: Any, names: list[str]) -> None:
        began = time.perf_counter()
        module.check_finite()
        if trainer.is_global_zero and not self.folder.is_dir():
            # it would be made anew
            raise RunError(f"{self.folder}: was removed while the run was on its way")
        for logger in trainer.loggers:
            logger.save()
        for name in names:
            trainer.save_checkpoint(self.folder / name)
            if name == BEST and trainer.is_global_zero:
                # what the checkpoint holds as the model may be an average of the weights; those
                # that are parametrized have other names there
                own = any(map(is_parametrized, module.network.modules()))
                path = self.folder / BEST
                model = module.to_model().trained if own else checkpoint.read_model(path)
                counting = (c for c in trainer.callbacks if isinstance(c, CharacterCounts))
                counts, facts = next((c.select_counts_for_model() for c in counting), (None, {}))
                model = replace(model, counts=counts, facts={**model.facts, **facts})
                model_file.save(self.context.folder / MODEL, model)
        for callback in trainer.callbacks:
            if isinstance(callback, TrainingLog):
                callback.pause(time.perf_counter() - began)

    def _asked_to_stop(self, trainer: L.Trainer) -> bool:
        """Whether a signal reached any of the processes: they must stop at the same step."""
        signals = self.context.signals
        received = signals.received or 0
        if trainer.world_size > 1:
            # on the CPU, where no step of a GPU is waited for
            highest = torch.tensor(received)
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
            # a signal that came in meanwhile waits for the next step: the others do not know of it
            received = int(highest.item())
        if received:
            signals.received = received
        return bool(received)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        callbacks: list[L.Callback] = trainer.callbacks
        stopped = any(getattr(callback, "has_stopped", False) for callback in callbacks)
        ended = trainer.global_step >= trainer.estimated_stepping_batches
        finished = ended or (stopped and _ends_early(trainer))
        checkpoint.setdefault(ENTRY, {}).update(self.context.entry, finished=finished)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Let the folder have the best model so far; without it, the next model is the best."""
        if trainer.state.fn != "fit" or not trainer.enable_validation:
            return
        # Lightning has restored the module by now
        has_best = trainer.is_global_zero and self._restore_best(trainer, pl_module.best.step)
        if not trainer.strategy.broadcast(has_best):
            pl_module.best = BestValidation()

    def _restore_best(self, trainer: L.Trainer, step: int) -> bool:
        """Return whether the folder has the files of the best model, or there is none yet.

        A new folder takes them from the checkpoint of the resume, or from beside that.
        """
        model = self.context.folder / MODEL
        if not step or model.exists():
            return True
        resumed = Path(str(trainer.ckpt_path))
        for source in (resumed, resumed.with_name(BEST)):
            with contextlib.suppress(InputError):
                content = checkpoint.read(source)
                if content["global_step"] == step:
                    checkpoint.write(self.folder / BEST, content)
                    model_file.save(model, checkpoint.parse_model(content))
                    return True
        say(f"the best model so far, of step {step:,}, is lost: the next one counts")
        return False


def _ends_early(trainer: L.Trainer) -> bool:
    """Whether Lightning stops here since it was asked to: not before `min_steps`, `min_epochs`."""
    enough = trainer.global_step >= (trainer.min_steps or 0)
    return trainer.should_stop and enough and trainer.current_epoch >= (trainer.min_epochs or 0)


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's file access with writes that are whole or not there, and checked reads.

    Lightning's own write is not atomic across file systems and is never synced.
    """

    def save_checkpoint(
        self, content: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        # a plain dict: what torch adds to its OrderedDict is of no use here
        content = {**content, "state_dict": dict(content["state_dict"])}
        checkpoint.write(Path(path), content)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint.read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
