"""Find the likeliest next words and marks after a text.

Each text continues with exactly one of these, so their probabilities sum to 1:

- A word: letters up to the end of the word, or a blank and such letters. Its probability is that
  these characters follow, and then one that is no letter.
- A mark: one character that is no letter, or a blank and such a character. A blank is a mark only
  after another blank.

So after a part of a word, the words are its possible ends. The letters are those of the word table
(`number_letters`). `site/network/next-words.js` of the page is the same search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from charrnn.counts.words import number_letters
from charrnn.generation.draw import Array, Ids, log_softmax
from charrnn.models.trained import State, concat_states, select_streams
from charrnn.text.vocabulary import Vocabulary

BLANK = " "
MAX_STEPS = 200  # prefixes that the network reads
_TOGETHER = 16  # prefixes that it reads at once


class NextWord(NamedTuple):
    """A word or mark with which a text may continue."""

    text: str
    probability: float


class _Prefix(NamedTuple):
    """The beginning of a word. The network has not read its last character."""

    loss: float  # of its characters, in nats
    text: str
    last: int  # the id of its last character
    state: State  # of several streams, before the last character
    stream: int  # whose state it is


def find_next_words(
    step: Callable[[Ids, State], tuple[Array, State]],
    vocabulary: Vocabulary,
    logits: Array,
    state: State,
    k: int = 5,
) -> list[NextWord]:
    """Return the k likeliest next words and marks, sorted by probability and then by text.

    The search is best-first: the network reads the likeliest prefixes, as long as one of them is
    likelier than the k-th word. If this takes more than `MAX_STEPS` prefixes, the words are the
    likeliest until then.

    Args:
        step: `Model.step`, or the method `step` of an engine.
        logits, state: the result of `step` for the last character of the text, in one stream.
    """
    is_letter = number_letters(vocabulary) > 0
    is_blank = np.array([character == BLANK for character in vocabulary.characters])
    batch, steps_left = [_Prefix(0.0, "", -1, state, 0)], MAX_STEPS
    prefixes: list[_Prefix] = []
    words: list[tuple[float, str]] = []  # losses and texts
    largest = np.inf  # the loss of the k-th word
    while batch:
        with np.errstate(divide="ignore", invalid="ignore"):
            for stream, (prefix, log_probs) in enumerate(
                zip(batch, log_softmax(logits), strict=True)
            ):
                losses = prefix.loss - log_probs
                continues = is_letter if prefix.text else is_letter | is_blank
                has_letters = prefix.text not in ("", BLANK)
                for id_ in np.flatnonzero(losses < largest).tolist():
                    loss, text = float(losses[id_]), prefix.text + vocabulary.characters[id_]
                    if continues[id_]:
                        prefixes.append(_Prefix(loss, text, id_, state, stream))
                    elif not has_letters:
                        words.append((loss, text))
                if has_letters:
                    words.append((-float(np.logaddexp.reduce(-losses[~is_letter])), prefix.text))
        words = sorted(word for word in words if word[0] < np.inf)[:k]
        largest = words[-1][0] if len(words) == k else np.inf
        prefixes = sorted(prefix for prefix in prefixes if prefix.loss < largest)
        batch = prefixes[: min(_TOGETHER, steps_left)]
        prefixes, steps_left = prefixes[len(batch) :], steps_left - len(batch)
        if batch:
            states = [select_streams(prefix.state, [prefix.stream]) for prefix in batch]
            logits, state = step(np.array([prefix.last for prefix in batch]), concat_states(states))
    return [NextWord(text, float(np.exp(-loss))) for loss, text in words]
