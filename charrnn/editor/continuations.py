"""Several continuations of a text, and what one takes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from charrnn.generation.sampler import Sampler
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import as_bytes

CONTEXT = 5000  # characters before the cursor that are read; a state does not reach further back
_WORD = re.compile(r"\s*\S+|\s+")


class Continuations:
    """Written side by side, piece by piece, by whoever calls `write`, in a thread of its own.

    Args:
        before: the text that they go on from; its beginning is left out where it is long.
        asked: all else; `num_samples` of them.

    Attributes:
        texts: the continuations as far as they are written.
    """

    def __init__(self, sampler: Sampler, before: str, asked: SamplingParams) -> None:
        self._sampler = sampler
        self._is_bytes = sampler.model.vocabulary.is_bytes
        self._asked = replace(asked, start_text=before[-CONTEXT:], unknown="replace")
        if len(before) > CONTEXT:
            self._asked = replace(self._asked, prime="none")
        self._written = [""] * asked.num_samples
        self._dropped = False
        self.texts = list(self._written)

    def write(self, on_change: Callable[[], None]) -> None:
        """Write until all have ended, or `drop` is called.

        Raises:
            InputError, RunError: as `Sampler.write`.
        """
        for piece in self._sampler.write(self._asked):
            if self._dropped:
                return
            self._written[piece.sample] += piece.text
            self.texts[piece.sample] = self._shown(piece.sample)
            on_change()

    def drop(self) -> None:
        """They are not wanted any more."""
        self._dropped = True

    def take_word(self, number: int) -> str:
        """The next word of one of them, which it then lacks; the others are empty then."""
        # what is still being written would not fit what is left
        self.drop()
        text = self.texts[number]
        word = _WORD.match(text)
        taken = word[0] if word else text
        self.texts = [""] * len(self.texts)
        self.texts[number] = text[len(taken) :]
        return taken

    def take_all(self, number: int) -> str:
        """All that is left of one of them."""
        self.drop()
        return self.texts[number]

    def _shown(self, number: int) -> str:
        text = self._written[number]
        # bytes as the characters that they are; the last one may not be whole yet
        return as_bytes(text).decode("utf-8", "ignore") if self._is_bytes else text
