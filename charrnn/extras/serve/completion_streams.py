"""One prompt while it is read, and one text while it is written."""

from __future__ import annotations

import numpy as np

from charrnn.extras.serve.completion_job import Job, Piece, Scored
from charrnn.extras.serve.scoring import joined, scored
from charrnn.extras.serve.state_cache import Trail
from charrnn.generation.choosing import Ids
from charrnn.generation.sampler import first_ids, uniforms_of
from charrnn.generation.stopping import Stops
from charrnn.generation.weights import Array
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
    """A completion while it is written.

    Attributes:
        last: id of the last character, which is not taken in yet.
        left: characters to write; 0 when the completion has ended.
    """

    def __init__(self, job: Job, sample: int, vocabulary: Vocabulary) -> None:
        self.job, self.sample = job, sample
        self.left = job.length
        self.last = int(job.prompt[-1]) if len(job.prompt) else 0
        self.uniforms = uniforms_of(job.seed, sample)
        self._vocabulary = vocabulary
        self._stops = Stops(job.stop, keep=job.keep_stop)
        # what is not handed on yet
        self._text = ""
        self._scored: list[Scored] = []

    def begin(self) -> Piece | None:
        """What there is to hand on before anything is written."""
        if not self.left:
            return Piece(self.sample, "", self._handed(0), "length")
        if not len(self.job.prompt):  # nothing to go on from: any character may be the first
            first = first_ids(self.uniforms.random(1), self.job.choice, self._vocabulary)
            evenly = np.zeros((1, len(self._vocabulary)), np.float32)
            wanted = self.job.likeliest
            scores = None if wanted is None else scored(evenly, first, wanted)
            return self.take(first.tolist(), scores)
        return None

    def take(self, ids: list[int], scores: Scored | None) -> Piece | None:
        """Go on by characters just written; those past the completion's end are left out."""
        ids = ids[: self.left]
        self.last = ids[-1]
        text, stopped = self._stops.take(self._vocabulary.decode(ids))
        self.left -= len(ids)
        if scores is not None:
            self._scored.append(scores)
        finish = None
        if stopped:
            finish, self.left = "stop", 0
        elif not self.left:
            finish, text = "length", text + self._stops.rest()
        self._text += text
        if finish is None and not (self.job.streamed and self._text):
            return None
        handed, self._text = self._text, ""
        return Piece(self.sample, handed, self._handed(len(handed)), finish)

    def _handed(self, count: int) -> Scored | None:
        """The scores of the next so many characters that are handed on."""
        if self.job.likeliest is None:
            return None
        whole = joined(self._scored)
        self._scored = [whole.part(count, None)]
        return whole.part(0, count)
