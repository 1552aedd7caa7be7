"""What the HTTP side asks of a scheduler, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from charrnn.generation.state import State
from charrnn.generation.token_sampler import Ids
from charrnn.options.sampling import SamplingParams


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
