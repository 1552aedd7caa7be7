"""What happens after a step, in the order in which it happens.

    TrainingLog   every print_every steps: the loss, the learning rate, the speed
    Validation    every validate_every steps and at the end: the validation loss;
                  the model file if it is the best; a sample
    Checkpoints   best.ckpt if it is the best; every checkpoint_every steps, at the end, and
                  when a signal asked, the rolling checkpoint

All of it hangs on `on_train_batch_end`, in this order: a checkpoint of a step comes after
everything else that belongs to the step, so that a kill anywhere before it repeats the whole
from the checkpoint before, and one after it has lost nothing. Nothing here draws a random
number or touches the carried state, so whether and when it happens changes nothing in the
training.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch

from charrnn import modelfile
from charrnn.data import SplitIds
from charrnn.errors import RunError
from charrnn.evaluation import Score, stream_loss
from charrnn.files import make_folder, replacing
from charrnn.model import Model
from charrnn.modelfile import TrainedModel
from charrnn.models.checkpoint import ENTRY, FORMAT_VERSION
from charrnn.network import weights_of
from charrnn.options import CallbackOptions
from charrnn.text.vocabulary import Vocabulary, as_bytes
from charrnn.training.checkpoints import BEST, LAST, MODEL, Best, restore_best
from charrnn.training.metrics import BITS_PER_NAT, Metrics, paused
from charrnn.training.module import LanguageModel
from charrnn.training.progress import Progress, say
from charrnn.training.signals import Signals


class TrainingLog(L.Callback):
    """Records loss, learning rate and speed on logged steps, and looks for divergence there.

    Between them no step waits for a number to come back from the device.
    """

    def __init__(
        self, metrics: Metrics | None, progress: Progress | None, print_every: int, characters: int
    ) -> None:
        self.metrics = metrics
        self.progress = progress
        self.print_every = print_every
        self.characters = characters  # of all processes, in a step
        self.logged_step: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.logged_step = trainer.global_step
        if self.progress is not None:
            self.progress.start(trainer.global_step)
        if self.metrics is not None:
            self.metrics.seconds_of_training()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if self.progress is not None:
            self.progress.step(step)
        if step != 1 and step % self.print_every and step != pl_module.total_steps:
            return
        pl_module.check_finite()
        loss = pl_module.last_loss
        if trainer.world_size > 1:
            loss = trainer.strategy.reduce(loss, reduce_op="mean")
        if self.metrics is None:
            return
        assert self.logged_step is not None
        seconds = self.metrics.seconds_of_training()
        speed = (step - self.logged_step) * self.characters / max(seconds, 1e-9)
        self.logged_step = step
        values = {
            "train/loss": loss.item(),
            "lr": pl_module.last_lr,
            "characters_per_second": round(speed, 1),
        }
        self.metrics.record(step, step / pl_module.windows, values)
        if self.progress is not None:
            self.progress.loss(step, values["train/loss"], speed)


class Checkpoints(L.Callback):
    """Writes checkpoints and the model file, and notices that a signal asked the run to stop.

    Attributes:
        best_is_new: this step's validation was the best so far.
        stopped_early: it was the last, though there would have been more steps.
    """

    def __init__(
        self,
        folder: Path,
        *,
        metrics: Metrics | None,
        signals: Signals,
        vocabulary: Vocabulary,
        entry: dict[str, Any],
        facts: dict[str, Any],
        best: Best,
        checkpoint_every: int,
        keep_every: int | None,
        validates: bool,
    ) -> None:
        self.run_folder = folder
        self.folder = folder / "checkpoints"
        self.metrics = metrics
        self.signals = signals
        self.vocabulary = vocabulary
        self.entry = entry
        self.facts = facts
        self.best = best
        self.checkpoint_every = checkpoint_every
        self.keep_every = keep_every
        self.validates = validates
        self.best_is_new = False
        self.stopped_early = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Lightning has installed handlers of its own since
        self.signals.defer()
        if trainer.is_global_zero:
            make_folder(self.folder)
            if self.validates and trainer.ckpt_path is not None:
                for note in restore_best(self.run_folder, self.best, Path(trainer.ckpt_path)):
                    say(note)
        if trainer.world_size > 1:
            self.best = trainer.strategy.broadcast(self.best)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if self._asked_to_stop(trainer):
            trainer.should_stop = True
        ends = step == pl_module.total_steps or trainer.should_stop
        keeps = self.keep_every is not None and step % self.keep_every == 0
        rolls = ends or keeps or step % self.checkpoint_every == 0
        exports = rolls and not self.validates
        names = [BEST] if self.best_is_new or exports else []
        names += [f"step-{step}.ckpt"] if keeps else []
        names += [LAST] if rolls else []
        if not names:
            return
        pl_module.check_finite()
        self.check_folder(trainer)
        with paused(self.metrics):
            if exports:
                self.export(trainer, pl_module)
            if self.metrics is not None:
                self.metrics.flush()
            for name in names:
                trainer.save_checkpoint(self.folder / name)
        self.best_is_new = False

    def check_folder(self, trainer: L.Trainer) -> None:
        """Raise RunError if the run's folder was removed or moved: it would be made anew."""
        if trainer.is_global_zero and not self.folder.is_dir():
            raise RunError(f"{self.folder}: was removed while the run was on its way")

    def export(self, trainer: L.Trainer, module: LanguageModel) -> None:
        """Write the model file from the weights as they are."""
        if trainer.is_global_zero:
            modelfile.save(self.run_folder / MODEL, self.trained(trainer, module))

    def trained(self, trainer: L.Trainer, module: LanguageModel) -> TrainedModel:
        """The model as it stands."""
        return TrainedModel(
            module.network.architecture,
            self.vocabulary,
            weights_of(module.network),
            self._facts(trainer, module),
        )

    def _facts(self, trainer: L.Trainer, module: LanguageModel) -> dict[str, Any]:
        loss = self.best.loss if self.best.step == trainer.global_step else None
        step = trainer.global_step
        return {**self.facts, "step": step, "epoch": step / module.windows, "val_loss": loss}

    def _asked_to_stop(self, trainer: L.Trainer) -> bool:
        """Whether a signal reached any of the processes: they must stop at the same step."""
        received = self.signals.received or 0
        if trainer.world_size > 1:
            highest = torch.tensor(received, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
            received = int(highest.item())
            if received:  # else one that came in the meantime would be forgotten
                self.signals.received = received
        return bool(received)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.setdefault(ENTRY, {}).update(
            self.entry,
            version=FORMAT_VERSION,
            architecture=asdict(pl_module.network.architecture),
            tokens=self.vocabulary.tokens(),
            facts=self._facts(trainer, pl_module),
            best=asdict(self.best),
            finished=self.stopped_early or trainer.global_step >= pl_module.total_steps,
        )


class Validation(L.Callback):
    """Validates, keeps the best, samples, and stops a run that no longer gets better."""

    def __init__(
        self,
        folder: Path,
        ids: SplitIds,
        *,
        checkpoints: Checkpoints,
        metrics: Metrics | None,
        progress: Progress | None,
        validate_every: int,
        threads: int | None,
        options: CallbackOptions,
    ) -> None:
        self.folder = folder / "samples"
        self.ids = ids
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.progress = progress
        self.validate_every = validate_every
        self.threads = threads
        self.options = options

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step % self.validate_every and step != pl_module.total_steps:
            return
        pl_module.check_finite()
        self.checkpoints.check_folder(trainer)
        with paused(self.metrics):
            self._validate(trainer, pl_module, step)

    def _validate(self, trainer: L.Trainer, module: LanguageModel, step: int) -> None:
        started = time.perf_counter()
        loss = self._loss(trainer, module)
        best = self.checkpoints.best
        improved = best.update(loss, step, self.options.min_delta)
        if self.options.patience is not None and best.waited >= self.options.patience:
            trainer.should_stop = self.checkpoints.stopped_early = True
        if self.metrics is not None:
            values = {"val/loss": loss, "val/bits_per_character": loss * BITS_PER_NAT}
            self.metrics.record(step, step / module.windows, values)
        if improved:
            self.checkpoints.best_is_new = True
            self.checkpoints.export(trainer, module)
        if trainer.is_global_zero and self.options.sample_length:
            self._sample(trainer, module, step)
        if self.progress is not None:
            self.progress.validated(step, loss, improved, time.perf_counter() - started)

    def _loss(self, trainer: L.Trainer, module: LanguageModel) -> float:
        score: Score | None = None
        if trainer.is_global_zero:
            report = None
            if self.progress is not None:
                report = self.progress.validating(trainer.global_step)
            score = stream_loss(module.network, self.ids, threads=self.threads, report=report)
        if trainer.world_size > 1:
            score = trainer.strategy.broadcast(score)
        assert score is not None
        return score.loss

    def _sample(self, trainer: L.Trainer, module: LanguageModel, step: int) -> None:
        text = Model(self.checkpoints.trained(trainer, module)).generate(
            length=self.options.sample_length,
            temperature=self.options.sample_temperature,
            seed=step,
        )
        with replacing(self.folder / f"step-{step:07d}.txt") as temporary:
            temporary.write_bytes(as_bytes(text))
        if self.metrics is not None:
            self.metrics.text("sample", text, step)
