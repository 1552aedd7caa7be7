"""The tasks of one request in the scheduler: blocks of its text, its prompt, its completions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from charrnn.errors import make_non_finite_error
from charrnn.extras.serve.protocol import CompletionRequest
from charrnn.generation.draw import Array, Floats, Ids, log_softmax, rank_ids
from charrnn.generation.streams import Stream
from charrnn.models.trained import State, TrainedModel, select_streams
from charrnn.options.sampling import SamplingParams

_CACHED_PROMPTS = 64


class Score(NamedTuple):
    """The log-probability of a character at temperature 1, without filters."""

    id: int
    logprob: float | None  # None for the first character of a prompt without a primer
    # the ids (K,) of the likeliest characters at its position, and their log-probabilities (K,)
    top: tuple[Ids, Floats] | None


def compute_scores(logits: Array, ids: Ids, top: int) -> list[Score]:
    """Return the log-probability of each id (T,) by its logits (T, V), and the `top` likeliest."""
    if not np.isfinite(logits).all():
        raise make_non_finite_error()
    log_probs = log_softmax(logits)
    chosen = np.take_along_axis(log_probs, ids[:, None], 1)[:, 0].tolist()
    # The copy does not keep the ranks of all other characters in memory.
    order = rank_ids(log_probs)[:, :top].copy() if top else np.zeros((len(ids), 0), np.int64)
    ranked = np.take_along_axis(log_probs, order, 1)
    return list(map(Score, ids.tolist(), chosen, zip(order, ranked, strict=True)))


class Piece(NamedTuple):
    """A part of one completion, in the vocabulary's characters."""

    number: int  # the index of the completion in the request
    text: str
    scores: list[Score]  # of the characters of `text`; empty without `logprobs`
    prompt_scores: list[Score]  # of the prompt without its first character; in the first piece
    finish_reason: str | None  # "stop" or "length" in the last piece; None in all other pieces


class Prompt(NamedTuple):
    """A prompt, encoded for one model."""

    text: str  # the prompt of the request
    ids: Ids  # its characters (T,), without the unknown ones
    input_ids: Ids  # the ids that the model reads, one or more, with a primer if there is one
    state: State  # before `input_ids`
    positions: Ids  # of `ids` in `text`, as (T,); empty unless the response contains them


@dataclass(eq=False)
class Job:
    """The work of one request.

    Args:
        blocks: the work, which takes a few milliseconds between two yields, and returns its result.
        receive: gets the result, or the error that ends the job.
    """

    blocks: Generator[None, None, Any]
    receive: Callable[[Any], None]
    seconds: float = field(default=0.0, init=False)  # the time that the blocks have taken


@dataclass(eq=False)
class CompletionJob(Job):
    """The completions of one request. Its blocks return the prompt; then it receives pieces."""

    request: CompletionRequest
    params: SamplingParams
    seed: int
    stops: tuple[str, ...]  # in the vocabulary's characters
    num_written: int = field(default=0, init=False)  # characters, in all completions


class PromptCache:
    """The states after recent prompts, by the prompts' ids.

    The next prompt of an editor usually extends its last prompt. Only the new end is read.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[bytes, State] = OrderedDict()

    def find_longest_prefix(self, ids: Ids) -> tuple[int, State] | None:
        """Return the length of the longest cached prefix of ids (T,), and the state after it."""
        key = ids.tobytes()
        if not (prefix := max(filter(key.startswith, self._states), key=len, default=b"")):
            return None
        self._states.move_to_end(prefix)
        return len(prefix) // ids.itemsize, self._states[prefix]

    def add(self, ids: Ids, state: State) -> None:
        self._states[ids.tobytes()] = select_streams(state, [0])
        if len(self._states) > _CACHED_PROMPTS:
            self._states.popitem(last=False)


class PromptTask:
    """The reading of a prompt, without its last character: the first step of writing reads that."""

    def __init__(self, job: CompletionJob, prompt: Prompt) -> None:
        self.job, self.prompt = job, prompt
        self.unread = prompt.input_ids[:-1]  # still to be read; writing reads the last id
        self.state = prompt.state  # of one stream, after the ids that are read
        self.num_read = 0  # ids that the model has read, without those in the cache
        self.needs_scores = job.request.echo and job.request.logprobs is not None
        self.scores: list[Score] = []  # of the characters after the first, if they are needed

    def skip_cached_prefix(self, cache: PromptCache) -> None:
        """Start after the longest prefix of the prompt in the cache."""
        if not self.needs_scores and (prefix := cache.find_longest_prefix(self.unread)) is not None:
            self.unread, self.state = self.unread[prefix[0] :], prefix[1]

    def advance(self, state: State, steps: int, logits: Array | None) -> None:
        """Record that the model read `steps` ids, with logits (steps, V) after each."""
        if logits is not None and self.needs_scores:
            targets = self.prompt.input_ids[-len(self.unread) :]
            self.scores += compute_scores(logits, targets[:steps], self.job.request.logprobs or 0)
        self.unread, self.state = self.unread[steps:], state
        self.num_read += steps


class CompletionTask:
    """The writing of one completion; `number` is its index in the request."""

    def __init__(self, prompt_task: PromptTask, number: int, model: TrainedModel) -> None:
        self.job, self.number, prompt = prompt_task.job, number, prompt_task.prompt
        self.state = prompt_task.state  # of one stream, before the last character
        self.stream = Stream(
            self.job.params,
            model.vocabulary,
            seed=self.job.seed,
            sample=number,
            last=int(prompt.input_ids[-1]),
            start=prompt.ids,
            stops=self.job.stops,
            counts=model.counts,
        )
        self.remaining = self.stream.num_left  # characters to write; 0 when it has ended
        # The text and scores that no piece contains yet.
        self._text, self._scores, self._prompt_scores = "", list[Score](), prompt_task.scores

    def append(self, ids: list[int], scores: list[Score]) -> Piece | None:
        """Append new ids; ids after the completion's end are dropped.

        Return a piece if the text is streamed or has ended, else None.
        """
        text, finish_reason = self.stream.append_and_show(ids)
        self.remaining = 0 if finish_reason else self.stream.num_left
        self._scores += scores
        self._text += text
        if not finish_reason and not (self.job.request.stream and self._text):
            return None
        text, scores, prompt_scores = self._text, self._scores, self._prompt_scores
        # The other scores are of characters that are held back, or past the end.
        self._text, self._scores, self._prompt_scores = "", scores[len(text) :], []
        return Piece(self.number, text, scores[: len(text)], prompt_scores, finish_reason)
