"""What the HTTP side asks of a scheduler, how a stream reads and writes it, what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from charrnn.extras.serve.state_cache import Trail
from charrnn.generation.state import State
from charrnn.generation.stream import Stream, first_id
from charrnn.generation.token_sampler import Ids, likeliest_first, log_softmax
from charrnn.generation.weights import Array
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary


class Scored(NamedTuple):
    """How likely characters were, by the model's own distribution (at temperature 1).

    Attributes:
        ids: of the characters.
        logprobs: ln of each one's probability.
        likeliest: for each the likeliest in its place, as (id, ln of its probability).
    """

    ids: list[int]
    logprobs: list[float]
    likeliest: list[list[tuple[int, float]]]

    def part(self, start: int, end: int | None) -> Scored:
        """Those of some of the characters."""
        places = slice(start, end)
        return Scored(self.ids[places], self.logprobs[places], self.likeliest[places])


@dataclass(frozen=True)
class Piece:
    """A part of one completion.

    Attributes:
        sample: which of the job's completions.
        text: new text, in the vocabulary's characters.
        scored: of the characters of `text`, where that was asked for.
        finish: "stop" or "length" in the last piece; None before.
    """

    sample: int
    text: str
    scored: Scored | None
    finish: str | None


class PromptScored(NamedTuple):
    """All characters of `Job.prompt` but the first, where that was asked for."""

    scored: Scored


Event = Piece | PromptScored | Exception


@dataclass(frozen=True, eq=False)
class Job:
    """The completions of one prompt.

    Attributes:
        prompt: what is read, ids (T,) from 0, and `state`, that of one stream before it: both as
            `Sampler.known` gives them.
        samples: how many completions; number i draws from `seed` what sample i of the sampler
            does.
        start: ids of what the penalties see before a completion; None: `prompt`.
        params: how they are written, `length` characters at most.
        stop: texts in the vocabulary's characters.
        keep_stop: whether what stops a text is part of it.
        likeliest: how many of the likeliest characters are told with each; None: no
            log-probabilities at all.
        score_prompt: whether those of the prompt are wanted, too.
        streamed: whether pieces come as they are written, or each completion in one.
        client: whose last prompt this is.
        receive: called with each event, from the scheduler's side.
    """

    prompt: Ids
    state: State = field(repr=False)
    receive: Callable[[Event], None] = field(repr=False)
    samples: int = 1
    start: Ids | None = field(default=None, repr=False)
    params: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    likeliest: int | None = None
    score_prompt: bool = False
    streamed: bool = False
    client: str = ""


def scored(logits: Array, ids: Ids, likeliest: int) -> Scored:
    """Score characters (T,) by the logits (T, V) of their places.

    Args:
        likeliest: so many of the likeliest are told for each place.
    """
    values = log_softmax(logits)
    own = np.take_along_axis(values, ids[:, None], 1)[:, 0]
    if not likeliest:
        return Scored(ids.tolist(), own.tolist(), [[] for _ in own])
    order = likeliest_first(values)[:, :likeliest]
    ranked = np.take_along_axis(values, order, 1)
    pairs = [
        list(zip(row, of_row, strict=True))
        for row, of_row in zip(order.tolist(), ranked.tolist(), strict=True)
    ]
    return Scored(ids.tolist(), own.tolist(), pairs)


def joined(parts: Iterable[Scored]) -> Scored:
    """What was scored one after another."""
    whole = Scored([], [], [])
    for part in parts:
        whole.ids.extend(part.ids)
        whole.logprobs.extend(part.logprobs)
        whole.likeliest.extend(part.likeliest)
    return whole


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
