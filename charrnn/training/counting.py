"""The characters of the training text counted, and mixed with the network at each validation."""

from __future__ import annotations

import time
from typing import Annotated, Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from charrnn.background import without_passages_of
from charrnn.counts.mixing import COUNTS_ONLY, Counts, fit_weights, mixed
from charrnn.counts.passages import MAX_CONTEXT, best_context
from charrnn.counts.table import CountTable
from charrnn.data import Ids, SplitIds
from charrnn.evaluation.stream_losses import part_loss
from charrnn.models.trained import LOSS_WITH_COUNTS
from charrnn.options.ranges import CONTEXT, NOT_NEGATIVE, check_arguments
from charrnn.say import say
from charrnn.training.datamodule import TextDataModule, WholeText
from charrnn.training.log import TrainingLog

LOSS = "val/loss_with_counts"
# 16 MB of logits, and as much of the counts' predictions: 129,000 characters of a vocabulary of 65
_ROOM = 1 << 23
# up to 45 bytes each while they are counted
MOST = 2_000_000
# Of a text this short nothing is learnt that its counts do not know: on 400 characters network,
# counts and both were at 3.02, 2.42 and 2.62, on 4,000 at 2.37, 2.03 and 2.03.
_SHORT = 3_000
_AT_ONCE = 1 << 18  # numbers
# the weights are fitted on no more characters than so many
_FITTED = 32_768


class Losses(NamedTuple):
    """Of the validation split, in nats per character."""

    network: float
    counts: float
    both: float


class _Counted(NamedTuple):
    """A text counted, and what the counts predict of another.

    Attributes:
        table: of the training split.
        loss: of the validation split, in nats per character.
        is_short: whether the text is too short for a network.
        ids: (P + 1,), the beginning of the validation split.
        log_p: (P, V), of each character but the first.
        lengths: (P,), of the longest context that the counts have before each.
        facts: which other text was counted, for the model file.
    """

    table: CountTable
    loss: float
    is_short: bool
    ids: npt.NDArray[Any]
    log_p: npt.NDArray[np.float16]
    lengths: npt.NDArray[Any]
    facts: dict[str, Any]


class CharacterCounts(L.Callback):
    """Counts the training text before the first validation, and weighs the counts at each.

    The weights are those with which counts and network together predict the validation split
    best; that loss is reported as val/loss_with_counts. Where it is lower than the network's own,
    the run's model file holds the counts. Training, best.ckpt and last.ckpt know nothing of them.

    Other texts (`TextDataModule.background`) are counted before the training text, in the same
    table, where the validation split is predicted better with them than without.

    Args:
        context: the most characters that a count looks back; how many of them are best is seen
            on the validation split.
        characters: no more than so many are counted: of the training text those at its beginning,
            and of other texts what is left then; 0: none.
    """

    def __init__(
        self,
        context: Annotated[int, CONTEXT] = MAX_CONTEXT,
        characters: Annotated[int, NOT_NEGATIVE] = MOST,
    ) -> None:
        prefix = "callbacks.counts."
        check_arguments(CharacterCounts.__init__, prefix, context=context, characters=characters)
        self.context = context
        self.characters = characters
        self.counts: Counts | None = None  # those of the last validation, where they help
        self.losses: Losses | None = None  # of the last validation
        self._of_model: Losses | None = None  # of the validation whose weights are the model
        self._counted: _Counted | None = None
        self._logits: npt.NDArray[np.float16] | None = None

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self._of_model is not None and self._counted is not None:
            _, counts, both = (f"{loss:.4f}" for loss in self._of_model)
            network = f"{pl_module.best.loss:.4f}"  # by float16 it could end in another digit
            end = "the network writes alone"
            if self._of_model.both < self._of_model.network:
                is_short = self._counted.is_short
                end = "of so short a text the counts write alone" if is_short else "both write"
            say(f"val/loss: network {network}, counts {counts}, both together {both}; {end}")

    def decide_for_model(self) -> tuple[Counts | None, dict[str, Any]]:
        """Decide what the model file holds beside the network whose validation was the last.

        Its counts where they help, else none, and what was counted. The end of the training tells
        its losses.
        """
        self._of_model = self.losses
        if self.counts is None or self.losses is None or self._counted is None:
            return None, {}
        return self.counts, {**self._counted.facts, LOSS_WITH_COUNTS: self.losses.both}

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._logits = pl_module.validation_logits = None
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.fast_dev_run:
            return
        data, text, size = trainer.datamodule, trainer.val_dataloaders, len(pl_module.vocabulary)
        if not (isinstance(data, TextDataModule) and isinstance(text, WholeText)):
            return
        if not trainer.is_global_zero or not self.characters:
            return
        if self._counted is None:
            began = time.perf_counter()
            self._counted = self._count(data, text.ids, size)
            for callback in trainer.callbacks:
                if isinstance(callback, TrainingLog):
                    callback.pause(time.perf_counter() - began)
        shape = len(self._counted.ids) - 1, size
        self._logits = np.full(shape, np.nan, np.float16)
        if trainer.world_size == 1:
            pl_module.validation_logits = self._logits

    def _count(self, data: TextDataModule, val: SplitIds, vocabulary_size: int) -> _Counted:
        """Count the training split, of a long one the beginning, and the background if it helps."""
        train = data.encoded.unread("train")
        if len(train) > self.characters:
            say(f"counts: of the first {self.characters:,} of {len(train):,} characters")
        # in little room: 64 bits a character are most of what counting would take
        small = np.min_scalar_type(vocabulary_size - 1)
        ids, held_out = train[: self.characters].astype(small), val[:MOST].astype(small)
        table, loss = best_context(ids, held_out, vocabulary_size, self.context)
        facts: dict[str, Any] = {}
        other = self._background(data, self.characters - len(ids)).astype(small)
        if len(other):
            together = np.concatenate([other, ids])
            larger, lower = best_context(together, held_out, vocabulary_size, self.context)
            what = "is counted too" if lower < loss else "does not help and is left out"
            losses = f"val/loss of counts {lower:.4f} with it, {loss:.4f} without"
            say(f"counts: other text of {len(other):,} characters {what}: {losses}")
            if lower < loss:
                table, loss = larger, lower
                facts = {"background": str(data.background), "background_counted": len(other)}
        held_out = held_out[: _ROOM // vocabulary_size + 1]
        p, lengths, _ = table.read(held_out[None, :-1], table.zero_state(1))
        log_p = np.log(p[0]).astype(np.float16)
        return _Counted(table, loss, len(train) < _SHORT, held_out, log_p, lengths[0], facts)

    def _background(self, data: TextDataModule, most: int) -> Ids:
        """The ids (n,) of the background, n <= `most`, without what is held out of the text."""
        ids = data.background.ids(most)
        for split in ("val", "test") if len(ids) else ():
            ids = without_passages_of(data.encoded.unread(split)[: self.characters], ids)
        return ids

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        logits, self._logits, pl_module.validation_logits = self._logits, None, None
        if logits is None or self._counted is None:
            return
        table, of_counts, is_short, ids, log_p, lengths, _ = self._counted
        if trainer.world_size > 1:  # each process has scored its part; the weights are of all
            with torch.autocast(pl_module.device.type, enabled=False):
                part_loss(pl_module.network, ids, 0, 1, logits=logits)
        self.counts = self.losses = None
        if not np.isfinite(logits).all():
            return
        targets, weights = ids[1:].astype(np.int64), COUNTS_ONLY
        if not is_short:
            some = slice(None, None, 1 + len(targets) // _FITTED)
            depths = lengths[some] / table.context
            weights = fit_weights(logits[some], log_p[some], targets[some], depths)
        counts = Counts(table, weights)
        # numbers that are the same everywhere take no room
        nothing = np.broadcast_to(np.float32(0), logits.shape)
        network_alone = np.broadcast_to(np.array((1, 0), np.float32), (len(targets), 2))
        alone = _loss(logits, nothing, targets, network_alone)
        both = _loss(logits, log_p, targets, counts.by_length[lengths])
        self.counts = counts if both < alone else None
        self.losses = Losses(alone, of_counts, both)
        for logger in trainer.loggers:
            logger.log_metrics({LOSS: both}, trainer.global_step)
        self.log(LOSS, both, logger=False, rank_zero_only=True)


def _loss(logits: Any, log_p: Any, targets: Any, weights: Any) -> float:
    """Nats per character of a mix."""
    total = 0.0
    rows = max(1, _AT_ONCE // logits.shape[1])
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        each = mixed(logits[part], log_p[part], weights[part])
        total -= float(each[np.arange(len(each)), targets[part]].sum(dtype=np.float64))
    return total / len(targets)
