"""Count the training text, and mix the counts with the network at each validation."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from charrnn.counts.mixing import COUNTS_ONLY, Counts, fit_weights, mix_log_probs
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
# 16 MB of logits, and 16 MB of the counts' log-probabilities. With a vocabulary of 65, these are
# 129,000 characters.
MAX_LOGITS = 1 << 23
MAX_CHARACTERS = 2_000_000  # counting takes up to 45 bytes per character
# From a shorter text, a network learns nothing that the counts lack. The losses of the network, the
# counts and the mixture were 3.02, 2.42 and 2.62 for 400 characters, 2.37, 2.03 and 2.03 for 4,000.
SHORT_TEXT = 3_000
_MIX_LOGITS_AT_ONCE = 1 << 18  # in `_compute_loss`, so that its arrays stay small
MAX_FITTED = 32_768  # characters on which the weights are fitted


class _CountedText(NamedTuple):
    """A counted text, and the counts' predictions for the start of the validation split."""

    table: CountTable
    loss: float  # of the first `MAX_CHARACTERS` of the validation split, in nats per character
    log_probs: npt.NDArray[np.float16]  # (P, V), of each character but the first
    lengths: npt.NDArray[Any]  # (P,), `CountTable.measure_contexts` before each character
    facts: dict[str, Any]  # which background was counted, for the model file


class _Mixture(NamedTuple):
    """The mixture of network and counts at a validation. Losses are in nats per character."""

    counts: Counts
    network_loss: float
    counts_loss: float
    loss: float
    facts: dict[str, Any]

    @property
    def helps(self) -> bool:
        return self.loss < self.network_loss


class CharacterCounts(L.Callback):
    """Counts the training text before the first validation, and mixes the counts with the network.

    Each validation fits the weights of the mixture so that it best predicts the validation split
    (at most its first `MAX_LOGITS` logits), and logs its loss as val/loss_with_counts. If this
    loss is lower than the network's, the model file contains the counts. Training, best.ckpt and
    last.ckpt do not depend on them.

    The background (`TextDataModule.background`) is counted before the training text, in the same
    table, if the mixture predicts the validation split better with it than without it.

    Args:
        context: the longest context that is counted, in characters. The best length up to it is
            chosen on the validation split.
        characters: the most characters that are counted: the first ones of the training text, then
            the first ones of the background. 0 turns counting off.
    """

    def __init__(
        self,
        context: Annotated[int, CONTEXT] = MAX_CONTEXT,
        characters: Annotated[int, NOT_NEGATIVE] = MAX_CHARACTERS,
    ) -> None:
        prefix = "callbacks.counts."
        check_arguments(CharacterCounts.__init__, prefix, context=context, characters=characters)
        self.context = context
        self.characters = characters
        # without the background, and with it if there is one
        self._counted_texts: list[_CountedText] = []
        self._mixtures: list[_Mixture] = []  # of the last validation
        self._model_mixtures: list[_Mixture] = []  # of the validation whose network was saved
        self._ids: npt.NDArray[Any] = np.empty(0)  # (P + 1,), the start of the validation split
        self._is_short = False
        self._logits: npt.NDArray[np.float16] | None = None

    @property
    def counts(self) -> Counts | None:
        """The counts of the last validation; None if they do not help."""
        best = _find_best(self._mixtures) if self._mixtures else None
        return best.counts if best is not None and best.helps else None

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not self._model_mixtures:
            return
        best, parts = _find_best(self._model_mixtures), "the network only"
        if best.helps:
            parts = "the counts only, because the text is short" if self._is_short else "both"
        say(
            # best.network_loss, from float16 logits, could differ in the last digit
            f"val/loss: network {pl_module.best.loss:.4f}, counts {best.counts_loss:.4f}, both "
            f"together {best.loss:.4f}; the model writes with {parts}"
        )
        if len(self._model_mixtures) > 1:
            without, mixture = self._model_mixtures
            decision = "is counted too" if mixture is best else "does not help and is not counted"
            say(
                f"other text {mixture.facts['background']}, "
                f"{mixture.facts['background_counted']:,} characters: {decision}; both together "
                f"{mixture.loss:.4f} with it, {without.loss:.4f} without"
            )

    def select_counts_for_model(self) -> tuple[Counts | None, dict[str, Any]]:
        """Return the counts and the facts for the model file of the last validated network.

        The counts are None if they do not help. The end of training prints these losses.
        """
        self._model_mixtures = self._mixtures
        if self.counts is None:
            return None, {}
        best = _find_best(self._mixtures)
        return best.counts, {**best.facts, LOSS_WITH_COUNTS: best.loss}

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._logits = pl_module.validation_logits = None
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.fast_dev_run:
            return
        data, text, size = trainer.datamodule, trainer.val_dataloaders, len(pl_module.vocabulary)
        if not (isinstance(data, TextDataModule) and isinstance(text, TextLoader)):
            return
        if not trainer.is_global_zero or not self.characters:
            return
        if not self._counted_texts:
            self._count_texts(data, text.ids, size)
        shape = len(self._ids) - 1, size
        self._logits = np.full(shape, np.nan, np.float16)
        if trainer.world_size == 1:
            pl_module.validation_logits = self._logits

    def _count_texts(self, data: TextDataModule, val: SplitIds, vocabulary_size: int) -> None:
        """Count the training split without the background, and with it if there is one."""
        train = data.encoded.get_split("train")
        if len(train) > self.characters:
            say(f"counts: of the first {self.characters:,} of {len(train):,} characters")
        # Ids of 64 bits would take most of the memory of counting.
        dtype = np.min_scalar_type(vocabulary_size - 1)
        ids, held_out = train[: self.characters].astype(dtype), val[:MAX_CHARACTERS].astype(dtype)
        self._ids = held_out[: MAX_LOGITS // vocabulary_size + 1]
        self._is_short = len(train) < SHORT_TEXT
        background = self._read_background(data, self.characters - len(ids)).astype(dtype)
        facts = {"background": str(data.background), "background_counted": len(background)}
        texts: list[tuple[npt.NDArray[Any], dict[str, Any]]] = [(ids, {})]
        if len(background):
            texts.append((np.concatenate([background, ids]), facts))
        for text, text_facts in texts:
            table, loss = count_with_best_context(text, held_out, vocabulary_size, self.context)
            probs, lengths, _ = table.read(self._ids[None, :-1], table.zero_state(1))
            log_probs = np.log(probs[0]).astype(np.float16)
            counted = _CountedText(table, loss, log_probs, lengths[0], text_facts)
            self._counted_texts.append(counted)

    def _read_background(self, data: TextDataModule, limit: int) -> Ids:
        """Return the ids (n,) of the background, n <= `limit`, without held-out passages."""
        ids = data.background.read_ids(limit)
        for split in ("val", "test") if len(ids) else ():
            ids = remove_shared_passages(ids, data.encoded.get_split(split)[: self.characters])
        return ids

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Fit the mixture to the logits of this validation, and log its loss.

        With one process, the validation filled the array that `on_validation_start` made.
        """
        logits, self._logits, pl_module.validation_logits = self._logits, None, None
        if logits is None:
            return
        if trainer.world_size > 1:  # in validation, each rank has scored only its part
            with torch.autocast(pl_module.device.type, enabled=False):
                compute_rank_loss(pl_module.network, self._ids, 0, 1, logits=logits)
        self._mixtures = []
        if not np.isfinite(logits).all():
            return
        self._mixtures = [self._fit_mixture(counted, logits) for counted in self._counted_texts]
        loss = _find_best(self._mixtures).loss
        for logger in trainer.loggers:
            logger.log_metrics({LOSS: loss}, trainer.global_step)
        self.log(LOSS, loss, logger=False, rank_zero_only=True)

    def _fit_mixture(self, counted: _CountedText, logits: npt.NDArray[np.float16]) -> _Mixture:
        """Fit the weights of the counts and of the network's logits (P, V)."""
        table, counts_loss, log_probs, lengths, facts = counted
        targets, weights = self._ids[1:].astype(np.int64), COUNTS_ONLY
        if not self._is_short:
            # In a run of one character, the weights are not used.
            usable = np.flatnonzero(lengths <= table.context)
            sample = usable[:: 1 + len(targets) // MAX_FITTED]
            depths = lengths[sample] / table.context
            weights = fit_weights(logits[sample], log_probs[sample], targets[sample], depths)
        counts = Counts(table, weights)
        # broadcast_to needs no memory for these arrays.
        zeros = np.broadcast_to(np.float32(0), logits.shape)
        network_only = np.broadcast_to(np.array((1, 0), np.float32), (len(targets), 2))
        network_loss = _compute_loss(logits, zeros, targets, network_only)
        loss = _compute_loss(logits, log_probs, targets, counts.by_length[lengths])
        return _Mixture(counts, network_loss, counts_loss, loss, facts)


def _find_best(mixtures: list[_Mixture]) -> _Mixture:
    return min(mixtures, key=lambda mixture: mixture.loss)


def _compute_loss(logits: Any, log_probs: Any, targets: Any, weights: Any) -> float:
    """Return the loss of a mixture in nats per character."""
    total = 0.0
    num_rows = max(1, _MIX_LOGITS_AT_ONCE // logits.shape[1])
    for start in range(0, len(targets), num_rows):
        rows = slice(start, start + num_rows)
        mixture = mix_log_probs(logits[rows], log_probs[rows], weights[rows])
        total -= float(mixture[np.arange(len(mixture)), targets[rows]].sum(dtype=np.float64))
    return total / len(targets)
