"""The characters of the training text counted, and mixed with the network at each validation."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from charrnn.counts.mixing import COUNTS_ONLY, Counts, fit_weights, mixed
from charrnn.counts.passages import MAX_CONTEXT, count_with_best_context
from charrnn.counts.table import CountTable
from charrnn.data import Ids, SplitIds
from charrnn.evaluation.stream_losses import compute_rank_loss
from charrnn.models.trained import LOSS_WITH_COUNTS
from charrnn.options.ranges import CONTEXT, NOT_NEGATIVE, check_arguments
from charrnn.say import say
from charrnn.text.background import remove_shared_passages
from charrnn.training.datamodule import TextDataModule, TextLoader

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


class _Counted(NamedTuple):
    """A text counted, and what the counts predict of the beginning of the validation split."""

    table: CountTable
    loss: float  # of the validation split's first `MOST` characters, in nats per character
    log_p: npt.NDArray[np.float16]  # (P, V), of each character but the first
    lengths: npt.NDArray[Any]  # (P,), `CountTable.lengths` before each
    facts: dict[str, Any]  # which other text was counted, for the model file


class _Mix(NamedTuple):
    """Network and counts together, as a validation found them; losses in nats per character."""

    counts: Counts
    of_network: float
    of_counts: float
    of_both: float
    facts: dict[str, Any]

    @property
    def helps(self) -> bool:
        return self.of_both < self.of_network


class CharacterCounts(L.Callback):
    """Counts the training text before the first validation, and weighs the counts at each.

    The weights are those with which counts and network together predict the validation split best,
    of a long one its first `_ROOM` logits; the loss there is reported as val/loss_with_counts.
    Where it is lower than the network's own, the run's model file holds the counts. Training,
    best.ckpt and last.ckpt know nothing of them.

    Other texts (`TextDataModule.background`) are counted before the training text, in the same
    table, where network and counts predict the validation split better so than without them.

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
        # those of the last validation, without other texts and with them, and of the one whose
        # weights are the model
        self._mixes: list[_Mix] = []
        self._of_model: list[_Mix] = []
        self._counted: list[_Counted] = []
        self._ids: npt.NDArray[Any] = np.empty(0)  # (P + 1,), the validation split's beginning
        self._is_short = False
        self._logits: npt.NDArray[np.float16] | None = None

    @property
    def counts(self) -> Counts | None:
        """Those of the last validation, where they help."""
        best = _best(self._mixes) if self._mixes else None
        return best.counts if best is not None and best.helps else None

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not self._of_model:
            return
        best, end = _best(self._of_model), "the network alone"
        if best.helps:
            end = "the counts alone, of so short a text" if self._is_short else "both"
        say(
            # the network's by float16 could end in another digit
            f"val/loss: network {pl_module.best.loss:.4f}, counts {best.of_counts:.4f}, both "
            f"together {best.of_both:.4f}; the model writes with {end}"
        )
        if len(self._of_model) > 1:
            without, others = self._of_model
            used = "is counted too" if others is best else "does not help and is left out"
            say(
                f"other text {others.facts['background']}, "
                f"{others.facts['background_counted']:,} characters: {used}; both together "
                f"{others.of_both:.4f} with it, {without.of_both:.4f} without"
            )

    def select_counts_for_model(self) -> tuple[Counts | None, dict[str, Any]]:
        """Decide what the model file holds beside the network whose validation was the last.

        Its counts where they help, else none, and what was counted. The end of the training tells
        its losses.
        """
        self._of_model = self._mixes
        if self.counts is None:
            return None, {}
        best = _best(self._mixes)
        return best.counts, {**best.facts, LOSS_WITH_COUNTS: best.of_both}

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._logits = pl_module.validation_logits = None
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.fast_dev_run:
            return
        data, text, size = trainer.datamodule, trainer.val_dataloaders, len(pl_module.vocabulary)
        if not (isinstance(data, TextDataModule) and isinstance(text, TextLoader)):
            return
        if not trainer.is_global_zero or not self.characters:
            return
        if not self._counted:
            self._count(data, text.ids, size)
        shape = len(self._ids) - 1, size
        self._logits = np.full(shape, np.nan, np.float16)
        if trainer.world_size == 1:
            pl_module.validation_logits = self._logits

    def _count(self, data: TextDataModule, val: SplitIds, vocabulary_size: int) -> None:
        """Count the training split, of a long one the beginning; and other texts before it."""
        train = data.encoded.get_split("train")
        if len(train) > self.characters:
            say(f"counts: of the first {self.characters:,} of {len(train):,} characters")
        # in little room: 64 bits a character are most of what counting would take
        small = np.min_scalar_type(vocabulary_size - 1)
        ids, held_out = train[: self.characters].astype(small), val[:MOST].astype(small)
        self._ids, self._is_short = held_out[: _ROOM // vocabulary_size + 1], len(train) < _SHORT
        other = self._background(data, self.characters - len(ids)).astype(small)
        facts = {"background": str(data.background), "background_counted": len(other)}
        both = np.concatenate([other, ids])
        for text, said in ((ids, {}), (both, facts)) if len(other) else ((ids, {}),):
            table, loss = count_with_best_context(text, held_out, vocabulary_size, self.context)
            p, lengths, _ = table.read(self._ids[None, :-1], table.zero_state(1))
            log_p = np.log(p[0]).astype(np.float16)
            self._counted.append(_Counted(table, loss, log_p, lengths[0], said))

    def _background(self, data: TextDataModule, most: int) -> Ids:
        """The ids (n,) of the background, n <= `most`, without what is held out of the text."""
        ids = data.background.read_ids(most)
        for split in ("val", "test") if len(ids) else ():
            ids = remove_shared_passages(ids, data.encoded.get_split(split)[: self.characters])
        return ids

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        logits, self._logits, pl_module.validation_logits = self._logits, None, None
        if logits is None:
            return
        if trainer.world_size > 1:  # each process has scored its part; the weights are of all
            with torch.autocast(pl_module.device.type, enabled=False):
                compute_rank_loss(pl_module.network, self._ids, 0, 1, logits=logits)
        self._mixes = []
        if not np.isfinite(logits).all():
            return
        self._mixes = [self._mix(counted, logits) for counted in self._counted]
        both = _best(self._mixes).of_both
        for logger in trainer.loggers:
            logger.log_metrics({LOSS: both}, trainer.global_step)
        self.log(LOSS, both, logger=False, rank_zero_only=True)

    def _mix(self, counted: _Counted, logits: npt.NDArray[np.float16]) -> _Mix:
        """Weigh counts against the logits (P, V) of the network."""
        table, of_counts, log_p, lengths, facts = counted
        targets, weights = self._ids[1:].astype(np.int64), COUNTS_ONLY
        if not self._is_short:
            known = np.flatnonzero(lengths <= table.context)  # in a run no weight is asked for
            some = known[:: 1 + len(targets) // _FITTED]
            depths = lengths[some] / table.context
            weights = fit_weights(logits[some], log_p[some], targets[some], depths)
        counts = Counts(table, weights)
        # numbers that are the same everywhere take no room
        nothing = np.broadcast_to(np.float32(0), logits.shape)
        network_alone = np.broadcast_to(np.array((1, 0), np.float32), (len(targets), 2))
        alone = _loss(logits, nothing, targets, network_alone)
        both = _loss(logits, log_p, targets, counts.by_length[lengths])
        return _Mix(counts, alone, of_counts, both, facts)


def _best(mixes: list[_Mix]) -> _Mix:
    return min(mixes, key=lambda mix: mix.of_both)


def _loss(logits: Any, log_p: Any, targets: Any, weights: Any) -> float:
    """Nats per character of a mix."""
    total = 0.0
    rows = max(1, _AT_ONCE // logits.shape[1])
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        each = mixed(logits[part], log_p[part], weights[part])
        total -= float(each[np.arange(len(each)), targets[part]].sum(dtype=np.float64))
    return total / len(targets)
