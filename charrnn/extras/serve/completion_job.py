"""A request as the scheduler has it: a prompt while it is read, completions while written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from charrnn.extras.serve.protocol import CompletionRequest
from charrnn.generation.draw import Array, Ids, log_softmax, rank_ids
from charrnn.generation.engines import select_streams
from charrnn.generation.sampler import Stream
from charrnn.models.trained import State
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

_PROMPTS_KEPT = 64
READ_TOGETHER = 64  # characters, which take a 2 x 256 network 2 ms


class Score(NamedTuple):
    """How likely a character was, by the model's own distribution (at temperature 1).

    Attributes:
        logprob: ln of its probability.
        top: the likeliest characters in its place, as (id, ln of the probability). Both are None
            where nothing stood before it.
    """

    id: int
    logprob: float | None
    top: list[tuple[int, float]] | None


def scores_of(logits: Array, ids: Ids, top: int) -> list[Score]:
    """Score characters (T,) by the logits (T, V) of their places, with the `top` likeliest."""
    values = log_softmax(logits)
    own = np.take_along_axis(values, ids[:, None], 1)[:, 0].tolist()
    order = rank_ids(values)[:, :top] if top else np.zeros((len(ids), 0), np.int64)
    ranked = np.take_along_axis(values, order, 1)
    pairs = map(list, map(zip, order.tolist(), ranked.tolist()))
    return list(map(Score, ids.tolist(), own, pairs))


class Piece(NamedTuple):
    """A part of one completion, in the vocabulary's characters.

    Attributes:
        number: which of the request's completions.
        scores: of the characters of `text`, and prompt_scores in the first piece those of the
            prompt, as far as something stood before them; where they were asked for.
        finish_reason: "stop" or "length" in the last piece; None before.
    """

    number: int
    text: str
    scores: list[Score]
    prompt_scores: list[Score]
    finish_reason: str | None


class Prompt(NamedTuple):
    """A prompt as one model reads it.

    Attributes:
        text: as it was sent.
        ids: its characters (T,), as far as the model knows them.
        read: what is read, one id or more, and state: that before it, as of `Sampler.prompt`.
    """

    text: str
    ids: Ids
    read: Ids
    state: State


@dataclass(frozen=True, eq=False)
class Job:
    """The completions of one request.

    Attributes:
        stops: as the vocabulary's characters.
        receive: called with each piece, or with what ended all, from the scheduler's side.
    """

    request: CompletionRequest
    prompt: Prompt
    params: SamplingParams
    seed: int
    stops: tuple[str, ...]
    receive: Callable[[Piece | Exception], None]


class PromptCache:
    """The states after the prompts that were read last, by their ids.

    A writer's next prompt is the last one with more at its end: it is read from there.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[bytes, State] = OrderedDict()

    def longest_prefix(self, ids: Ids) -> tuple[int, State] | None:
        """The prompt that these (T,) go on from: its number of characters, and the state."""
        key = ids.tobytes()
        if not (prefix := max(filter(key.startswith, self._states), key=len, default=b"")):
            return None
        self._states.move_to_end(prefix)
        return len(prefix) // ids.itemsize, self._states[prefix]

    def keep(self, ids: Ids, state: State) -> None:
        self._states[ids.tobytes()] = select_streams(state, [0])
        if len(self._states) > _PROMPTS_KEPT:
            self._states.popitem(last=False)


class Reading:
    """A prompt while it is read: up to its last character, which writing takes in.

    Attributes:
        left: ids that are not read yet.
        state: after those that are, of one stream.
        scores: of the characters after the first, where they are wanted.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.prompt = job, job.prompt
        self.left, self.state = job.prompt.read[:-1], job.prompt.state
        self.wants_scores = job.request.echo and job.request.logprobs is not None
        self.scores: list[Score] = []

    def begin(self, cache: PromptCache) -> None:
        """Go on from a prompt before that this one begins with."""
        if not self.wants_scores and (prefix := cache.longest_prefix(self.left)) is not None:
            self.left, self.state = self.left[prefix[0] :], prefix[1]

    def go_on(self, state: State, steps: int, logits: Array | None) -> None:
        """Having read so many characters more, with the logits (steps, V) after each."""
        if logits is not None and self.wants_scores:
            read = self.prompt.read[-len(self.left) :]
            self.scores += scores_of(logits, read[:steps], self.job.request.logprobs or 0)
        self.left, self.state = self.left[steps:], state


class Writing:
    """A completion while it is written.

    Args:
        number: which of the request's completions.

    Attributes:
        state: before the last character, of one stream.
        left: characters to write; 0 when the completion has ended.
    """

    def __init__(self, reading: Reading, number: int, vocabulary: Vocabulary) -> None:
        self.job, self.state, prompt = reading.job, reading.state, reading.prompt
        self.number = number
        self.stream = Stream(
            self.job.params,
            vocabulary,
            seed=self.job.seed,
            sample=number,
            last=int(prompt.read[-1]),
            start=prompt.ids,
            stops=self.job.stops,
        )
        self.left = self.stream.left
        # what is not handed on yet
        self._text, self._scores, self._prompt_scores = "", list[Score](), reading.scores

    def take(self, ids: list[int], scores: list[Score]) -> Piece | None:
        """Go on by characters just written; those past the completion's end are left out."""
        text, finish_reason = self.stream.take(ids)
        self.left = 0 if finish_reason else self.stream.left
        self._scores += scores
        self._text += text
        if not finish_reason and not (self.job.request.stream and self._text):
            return None
        text, scores, before = self._text, self._scores, self._prompt_scores
        self._text, self._scores, self._prompt_scores = "", scores[len(text) :], []
        return Piece(self.number, text, scores[: len(text)], before, finish_reason)
