"""Count the training text, and mix the counts with the network at each validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt

from charrnn.counts.fitting import PARTS, choose_table, compute_loss, fit_weights, select_weights
from charrnn.counts.mixing import COUNTS_ONLY, Counts, Floats, Places
from charrnn.counts.pairs import count_pairs, number_symbols
from charrnn.counts.passages import MAX_CONTEXT, TRIED, count_tables
from charrnn.counts.run_lengths import count_runs
from charrnn.counts.words import MAX_LETTERS, count_words, number_letters
from charrnn.data import Ids, SplitIds
from charrnn.evaluation import compute_stream_loss
from charrnn.options.ranges import check_ranges
from charrnn.options.training import PartOptions
from charrnn.say import say
from charrnn.text.background import remove_shared_passages
from charrnn.training.datamodule import TextDataModule, TextLoader
from charrnn.training.validation import MAX_LOGITS, Mixture

MAX_CHARACTERS = 2_000_000  # counting takes up to 60 bytes per character
# From a shorter text, a network learns nothing that the counts lack. The losses of the network, the
# counts and the mixture were 3.02, 2.42 and 2.62 for 400 characters, 2.37, 2.03 and 2.03 for 4,000.
SHORT_TEXT = 3_000


class _CountedText(NamedTuple):
    """A counted text, and what its counts know of the start of the validation split."""

    counts: Counts  # with any weights
    places: Places  # (P,), before each character but the first
    facts: dict[str, Any]  # which background was counted, for the model file


class CharacterCounts(L.Callback):
    """Counts the training text before the first validation, and mixes the counts with the network.

    Each validation fits the weights of the mixture so that it best predicts the validation split
    (at most its first `MAX_LOGITS` logits), and measures the loss of each half with the weights of
    the other half. If this loss is lower than the network's, it is logged as val/loss_as_written,
    and the model file contains the counts. Their words, pairs of words and lengths of runs are used
    if the loss is lower with them. Training, best.ckpt and last.ckpt do not depend on the counts.

    The background (`TextDataModule.background`) is counted before the training text, in the same
    table, if the mixture predicts the validation split better with it than without it. Its words
    and pairs are known, but not counted: with their counts, the mixture predicts small texts no
    better, and writes fewer of their words.

    Args:
        context: the longest context that is counted, in characters. The best length up to it is
            chosen on the validation split.
        characters: the most characters that are counted: the first ones of the training text, then
            the first ones of the background. 0 turns counting off.
        words: the most letters of a word in the tables of words and pairs. 0: no such tables. Lists
            have none, because they would write fewer new lines.
    """

    def __init__(
        self,
        context: int = MAX_CONTEXT,
        characters: int = MAX_CHARACTERS,
        words: int = MAX_LETTERS,
    ) -> None:
        check_ranges(PartOptions, context=context, characters=characters, words=words)
        self.context, self.characters, self.words = context, characters, words
        # without the background, and with it if there is one
        self._counted_texts: list[_CountedText] = []
        self._ids: npt.NDArray[Any] = np.empty(0)  # (P + 1,), the start of the validation split
        self._is_short = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._counted_texts = []  # Another Trainer may have trained with another text.

    def prepare_logits(self, trainer: Any, pl_module: Any) -> npt.NDArray[np.float16] | None:
        """Return an array (P, V), which the validation fills with logits for `mix_counts`.

        Return None where no counts can be mixed. The first call counts the text.
        """
        data, text = trainer.datamodule, trainer.val_dataloaders
        if not (isinstance(data, TextDataModule) and isinstance(text, TextLoader)):
            return None
        if not self.characters or trainer.fast_dev_run or not trainer.is_global_zero:
            return None
        if not self._counted_texts:
            self._counted_texts = self._count_texts(data, text.ids)
        # NaN marks what is not computed. No logits follow the last id, which is only predicted.
        return np.full((len(self._ids) - 1, len(pl_module.vocabulary)), np.nan, np.float16)

    def _count_texts(self, data: TextDataModule, val: SplitIds) -> list[_CountedText]:
        """Count the training split without the background, and with it if there is one.

        Keep the start of the validation split, and whether the training split is short.
        """
        train, size = data.encoded.get_split("train"), len(data.vocabulary)
        if len(train) > self.characters:
            say(f"counts: of the first {self.characters:,} of {len(train):,} characters")
        # Ids of 64 bits would take most of the memory of counting.
        dtype = np.min_scalar_type(size - 1)
        ids = train[: self.characters].astype(dtype)
        self._ids = val[: MAX_LOGITS // size + 1].astype(dtype)
        self._is_short = len(train) < SHORT_TEXT
        background = self._read_background(data, self.characters - len(ids)).astype(dtype)
        backgrounds = [background[:0], background] if len(background) else [background]
        return [self._count_text(data, ids, each) for each in backgrounds]

    def _count_text(self, data: TextDataModule, ids: Ids, background: Ids) -> _CountedText:
        """Count the ids of a text after those of its background, which may be empty."""
        size, facts = len(data.vocabulary), {}
        if len(background):
            facts = {"background": str(data.background), "background_counted": len(background)}
        texts = [ids, background] if len(background) else [ids]
        letters = number_letters(data.vocabulary)
        words = count_words(texts, letters, 0 if data.encoded.is_list else self.words)
        pairs = None
        if words is not None:
            pairs = count_pairs(texts, words, number_symbols(data.vocabulary, letters))
        tables = count_tables(np.concatenate(texts[::-1]), size, self.context)
        table = choose_table(tables, words, pairs, self._ids[: TRIED + 1])
        runs = count_runs(ids, size, table.context)
        counts = Counts(table, runs, words, pairs, COUNTS_ONLY)
        states = counts.find_states(self._ids[None, :-1], counts.zero_state(1))
        return _CountedText(counts, counts.observe(states, np.float16), facts)

    def _read_background(self, data: TextDataModule, limit: int) -> Ids:
        """Return the ids (n,) of the background, n <= `limit`, without held-out passages."""
        ids = data.background.read_ids(limit)
        for split in ("val", "test") if len(ids) else ():
            ids = remove_shared_passages(ids, data.encoded.get_split(split)[: self.characters])
        return ids

    def mix_counts(
        self, trainer: L.Trainer, pl_module: Any, logits: npt.NDArray[np.float16]
    ) -> Mixture | None:
        """Return the mixture of the network's logits (P, V) with the counts that predicts best.

        With several processes, each one has scored only its part, and the logits are computed here.
        """
        if trainer.world_size > 1:
            compute_stream_loss(pl_module.network, self._ids, logits=logits)
        if not np.isfinite(logits).all():
            return None
        targets = self._ids[1:].astype(np.int64)
        network_loss = compute_loss(logits, None, targets)
        mixtures = [
            self._fit_mixture(text, logits, targets, network_loss) for text in self._counted_texts
        ]
        if len(mixtures) > 1:
            _say_background(*mixtures)
        return _find_best(mixtures)

    def _fit_mixture(
        self, counted: _CountedText, logits: Floats, targets: Ids, network_loss: float
    ) -> Mixture:
        """Mix the network's logits (P, V) with the parts of the counts that predict best."""
        counts, places, facts = counted
        counts_loss = compute_loss(logits, places, targets)

        def mix(parts: str, places: Places, counts: Counts) -> Mixture:
            if self._is_short:
                weights = select_weights(COUNTS_ONLY, parts)
                loss = compute_loss(logits, places, targets, weights)
            else:
                weights, loss = fit_weights(logits, places, targets, parts)
            chosen = replace(
                counts,
                # The words of a background are known in writing, whether they help or not.
                words=counts.words if parts != "counts" or facts else None,
                pairs=counts.pairs if parts == "pairs" else None,
                weights=weights,
            )
            return Mixture(chosen, network_loss, counts_loss, loss, facts)

        known = [*PARTS] if counts.words is not None else [*PARTS][:1]
        mixtures = {parts: mix(parts, places, counts) for parts in known}
        best = min(known, key=lambda parts: mixtures[parts].loss)
        if not places.run_odds.any():
            return mixtures[best]
        without_runs = places._replace(run_odds=np.zeros_like(places.run_odds))
        return _find_best([mixtures[best], mix(best, without_runs, replace(counts, runs=None))])


def _say_background(without: Mixture, mixture: Mixture) -> None:
    """Print whether the background helps."""
    helps = mixture.loss < without.loss
    decision = "is counted too" if helps else "does not help and is not counted"
    say(
        f"background {mixture.facts['background']}, {mixture.facts['background_counted']:,} "
        f"characters: {decision}; network and counts {mixture.loss:.4f} with it, "
        f"{without.loss:.4f} without"
    )


def _find_best(mixtures: list[Mixture]) -> Mixture:
    return min(mixtures, key=lambda mixture: mixture.loss)
