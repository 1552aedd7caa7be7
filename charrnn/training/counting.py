"""The characters of the training text counted, and mixed with the network at each validation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch

from charrnn.counts import (
    ALONE,
    MAX_CONTEXT,
    MAX_NODES,
    Counted,
    Counts,
    CountTable,
    best_context,
    fit_weights,
    mixed,
)
from charrnn.data import SplitIds
from charrnn.errors import InputError
from charrnn.evaluation import part_loss
from charrnn.evaluation.kept_logits import KeptLogits
from charrnn.options.ranges import LONGEST_CONTEXT
from charrnn.say import say
from charrnn.training.log import TrainingLog

LOSS = "val/loss_with_counts"
# 16 MB of logits, and as much of the counts' predictions: 129,000 characters of a vocabulary of 65
_ROOM = 1 << 23
# up to 45 bytes each while they are counted
MOST = 2_000_000
# Of a text this short nothing is learnt that its counts do not know: on 400 characters network,
# counts and both were at 3.02, 2.42 and 2.62, on 4,000 at 2.37, 2.03 and 2.03.
_SHORT = 3_000
_COLUMNS = 64  # of each row, at once
_AT_ONCE = 1 << 18  # numbers
# the weights are fitted on no more characters than so many
_FITTED = 32_768


class Losses(NamedTuple):
    """Of the validation split, in nats per character."""

    network: float
    counts: float
    both: float


class CharacterCounts(L.Callback):
    """Counts the training text before the first validation, and weighs the counts at each.

    The weights are those with which counts and network together predict the validation split
    best; that loss is reported as val/loss_with_counts. Where it is lower than the network's own,
    the run's model file holds the counts. Training, best.ckpt and last.ckpt know nothing of them.

    Args:
        context: the most characters that a count looks back; how many of them are best is seen
            on the validation split.
        characters: of a longer text no more than so many are counted, from its beginning; 0: none.

    Attributes:
        goes_on: asked while the text is counted; when it says no, it is not counted yet.
    """

    def __init__(self, context: int = MAX_CONTEXT, characters: int = MOST) -> None:
        if not 1 <= context <= LONGEST_CONTEXT or characters < 0:
            raise InputError(
                f"callbacks.counts: context must be between 1 and {LONGEST_CONTEXT}, and "
                f"characters 0 or more"
            )
        self.goes_on: Callable[[], bool] = lambda: True
        self.context = context
        self.characters = characters
        self.counts: Counts | None = None  # those of the last validation, where they help
        self.losses: Losses | None = None  # of the last validation
        self._counted: Counted | None = None
        self._told: Losses | None = None  # of the validation whose weights are the model
        self._is_short = False
        self._kept: KeptLogits | None = None
        self._predicted: _Predictions | None = None

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self._told is not None:
            network, counts, both = (f"{loss:.4f}" for loss in self._told)
            end = "it is alone"
            if self._told.both < self._told.network:
                end = "so short a text is its counts" if self._is_short else "the model has both"
            say(f"val/loss of the network {network}, of counts {counts}, of both {both}: {end}")

    def decide_for_model(self) -> Counts | None:
        """Decide what the model file holds beside the network whose validation was the last.

        Its counts where they help, else none. The end of the training tells its losses.
        """
        self._told = self.losses
        return self.counts

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._kept = pl_module.validation_logits = None
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.fast_dev_run:
            return
        if not trainer.is_global_zero:
            return
        if self._counted is None and self.characters:
            self._count(trainer, len(pl_module.vocabulary))
        if self._counted is not None:
            self._kept = KeptLogits(_ROOM, before=self._counted.table.context)
            if trainer.world_size == 1:
                pl_module.validation_logits = self._kept

    def _count(self, trainer: L.Trainer, vocabulary_size: int) -> None:
        """Count the training split, of a longer one the beginning, which is said."""
        train, val = (self._split(trainer, name) for name in ("train", "val"))
        if train is None or val is None or len(val) < 2:
            return
        began = time.perf_counter()
        self._is_short = len(train) < _SHORT
        if len(train) > self.characters:
            say(f"counts: of the first {self.characters:,} of {len(train):,} characters")
        # in little room: 64 bits a character are most of what counting would take
        small = np.min_scalar_type(vocabulary_size - 1)
        ids, held_out = (split[: self.characters].astype(small) for split in (train, val))
        found = best_context(ids, held_out, vocabulary_size, self.context, self.goes_on)
        if found is not None and found.is_cut:
            say(
                f"counts: contexts of {found.table.context} characters; longer ones would have "
                f"more than {MAX_NODES:,} entries"
            )
        self._counted = found
        for callback in trainer.callbacks:
            if isinstance(callback, TrainingLog):
                callback.pause(time.perf_counter() - began)

    def _split(self, trainer: L.Trainer, name: str) -> SplitIds | None:
        split = getattr(trainer.datamodule, "split", None)
        return split(name) if split else None

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        kept, self._kept, pl_module.validation_logits = self._kept, None, None
        if kept is None or self._counted is None:
            return
        if trainer.world_size > 1:  # each process has scored its part; the weights are of all
            val = self._split(trainer, "val")
            assert val is not None
            whole = val[: kept.room // len(pl_module.vocabulary) + 1]
            with torch.autocast(pl_module.device.type, enabled=False):
                part_loss(pl_module.network, whole, 0, 1, kept=kept)
        logits = kept.logits.reshape(-1, kept.logits.shape[-1])[: kept.count]
        targets = kept.ids[:, kept.before + 1 :].ravel()[: kept.count]
        self.counts = self.losses = None
        if not len(targets) or not np.isfinite(logits).all():
            return
        # the same at each validation, unless a network remembers too much for rows
        if self._predicted is None or not np.array_equal(self._predicted.starts, kept.starts):
            self._predicted = _predictions(self._counted.table, kept)
        _, log_p, lengths = self._predicted
        some = slice(None, None, 1 + len(targets) // _FITTED)
        weights = ALONE
        if not self._is_short:
            depths = lengths[some] / self._counted.table.context
            weights = fit_weights(logits[some], log_p[some], targets[some], depths)
        counts = Counts(self._counted.table, weights)
        # numbers that are the same everywhere take no room
        nothing = np.broadcast_to(np.float32(0), logits.shape)
        network_alone = np.broadcast_to(np.array((1, 0), np.float32), (len(targets), 2))
        alone = _loss(logits, nothing, targets, network_alone)
        both = _loss(logits, log_p, targets, counts.by_length[lengths])
        self.counts = counts if both < alone else None
        self.losses = Losses(alone, self._counted.loss, both)
        for logger in trainer.loggers:
            logger.log_metrics({LOSS: both}, trainer.global_step)
        self.log(LOSS, both, logger=False, rank_zero_only=True)


class _Predictions(NamedTuple):
    """What the counts predict of the characters whose logits were kept.

    Attributes:
        starts: (R,), where the rows begin.
        log_p: (P, V).
        lengths: (P,), of the longest context that the counts have before each.
    """

    starts: Any
    log_p: Any
    lengths: Any


def _predictions(table: CountTable, kept: KeptLogits) -> _Predictions:
    log_p = np.empty_like(kept.logits)
    lengths = np.empty(log_p.shape[:2], np.int8)
    state = table.contexts(kept.ids[:, : kept.before], table.beginning(len(log_p)))[:, -1]
    state[kept.starts == 0] = 0
    ids = kept.ids[:, kept.before :]
    for start in range(0, log_p.shape[1], _COLUMNS):
        part = slice(start, min(start + _COLUMNS, log_p.shape[1]))
        p, lengths[:, part], state = table.read(ids[:, part], state)
        np.log(p, out=log_p[:, part])
    of_all = log_p.reshape(-1, log_p.shape[-1])[: kept.count]
    return _Predictions(kept.starts, of_all, lengths.ravel()[: kept.count])


def _loss(logits: Any, log_p: Any, targets: Any, weights: Any) -> float:
    """Nats per character of a mix."""
    total = 0.0
    rows = max(1, _AT_ONCE // logits.shape[1])
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        each = mixed(logits[part], log_p[part], weights[part])
        total -= float(each[np.arange(len(each)), targets[part]].sum(dtype=np.float64))
    return total / len(targets)
