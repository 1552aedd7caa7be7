"""Which passages of a text stand in the text that a model was trained on."""

from __future__ import annotations

import threading

from charrnn.errors import InputError
from charrnn.extras.serve.protocol import Refusal
from charrnn.generation.sampler import in_characters_of
from charrnn.models.ensemble import Trained
from charrnn.training_text import TrainingText, find_training_text


class Copies:
    """Looks for copies; a training text is read when it is first asked for.

    Args:
        corpus: the training text of every model; None: what each one's run recorded.
    """

    def __init__(self, corpus: str | None) -> None:
        self._corpus = corpus
        self._lock = threading.Lock()
        self._texts: dict[int, TrainingText | InputError] = {}

    def of(self, model: Trained, text: str, least: int) -> list[tuple[int, int]]:
        """The passages of `least` characters or more, as ranges of characters that do not touch.

        Raises:
            Refusal: there is no training text to look in.
        """
        characters = in_characters_of(model.vocabulary, text)
        try:
            lengths = self._text_of(model).longest_matches(characters).tolist()
        except InputError as error:
            raise Refusal(404, str(error)) from None
        ranges: list[tuple[int, int]] = []
        for end, length in enumerate(lengths, start=1):
            if length < least:
                continue
            start = end - length
            while ranges and ranges[-1][1] >= start:
                start = min(start, ranges.pop()[0])
            ranges.append((start, end))
        if len(characters) == len(text):
            return ranges
        # of a model of bytes, where a character of the text has several
        place = [at for at, c in enumerate(text) for _ in in_characters_of(model.vocabulary, c)]
        return [(place[start], place[end - 1] + 1) for start, end in ranges]

    def _text_of(self, model: Trained) -> TrainingText:
        with self._lock:
            if id(model) not in self._texts:
                try:
                    self._texts[id(model)] = find_training_text(model, self._corpus)
                except InputError as error:
                    self._texts[id(model)] = error
            found = self._texts[id(model)]
        if isinstance(found, InputError):
            raise found
        return found
