"""One prompt while it is read, and one text while it is written."""

from __future__ import annotations

import numpy as np

from charrnn.generation.stream import Stream, first_id
from charrnn.generation.token_sampler import Ids
from charrnn.generation.weights import Array
from charrnn.serving.job import Job, Piece, Scored
from charrnn.serving.scoring import joined, scored
from charrnn.serving.states import Trail
from charrnn.text.vocabulary import Vocabulary


class Reading:
    """A prompt while it is read: up to its last character, which writing takes in.

    Attributes:
        place: how many characters were taken in.
    """

    def __init__(self, job: Job, trail: Trail) -> None:
        self.job, self.trail = job, trail
        self.place = trail.places[-1] if trail.places else 0
        self._scored: list[Scored] = []

    @property
    def left(self) -> int:
        return max(len(self.job.prompt) - 1, 0) - self.place

    def next(self, steps: int) -> Ids:
        """The next so many characters."""
        return self.job.prompt[self.place : self.place + steps]

    def score(self, logits: Array) -> None:
        """Note how likely the characters after the next ones were, by logits (T, V)."""
        if self.job.score_prompt:
            after = self.job.prompt[self.place + 1 : self.place + 1 + len(logits)]
            self._scored.append(scored(logits, after, self.job.likeliest or 0))

    def scored(self) -> Scored:
        """All that was noted."""
        return joined(self._scored)


class Writing:
    """A completion while it is written."""

    def __init__(self, job: Job, sample: int, vocabulary: Vocabulary) -> None:
        self.job = job
        self.stream = Stream(
            job.params,
            vocabulary,
            seed=job.seed,
            sample=sample,
            last=int(job.prompt[-1]) if len(job.prompt) else None,
            start=job.prompt if job.start is None else job.start,
            stops=job.stop,
            keep_stop=job.keep_stop,
        )
        self._ended = not self.stream.left
        # what is not handed on yet
        self._text = ""
        self._scored: list[Scored] = []

    @property
    def left(self) -> int:
        """Characters to write; 0 when the completion has ended."""
        return 0 if self._ended else self.stream.left

    def begin(self) -> Piece | None:
        """What there is to hand on before anything is written."""
        if not self.left:
            return Piece(self.stream.sample, "", self._handed(0), "length")
        if self.stream.last is None:
            first = np.array([first_id(self.stream)])
            evenly = np.zeros((1, len(self.stream.vocabulary)), np.float32)
            wanted = self.job.likeliest
            scores = None if wanted is None else scored(evenly, first, wanted)
            return self.take(first.tolist(), scores)
        return None

    def take(self, ids: list[int], scores: Scored | None) -> Piece | None:
        """Go on by characters just written; those past the completion's end are left out."""
        text, finish = self.stream.take(ids)
        self._ended = finish is not None
        if scores is not None:
            self._scored.append(scores)
        self._text += text
        if finish is None and not (self.job.streamed and self._text):
            return None
        handed, self._text = self._text, ""
        return Piece(self.stream.sample, handed, self._handed(len(handed)), finish)

    def _handed(self, count: int) -> Scored | None:
        """The scores of the next so many characters that are handed on."""
        if self.job.likeliest is None:
            return None
        whole = joined(self._scored)
        self._scored = [whole.part(count, None)]
        return whole.part(0, count)
