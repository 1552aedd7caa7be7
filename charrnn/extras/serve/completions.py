"""From a request to a job for a scheduler, and from what it writes to the answer."""

from __future__ import annotations

import asyncio
import codecs
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from charrnn.errors import InputError, RunError
from charrnn.extras.serve.completion_job import Job, Piece, Prompt, Score
from charrnn.extras.serve.protocol import (
    CompletionRequest,
    Refusal,
    as_json,
    error_body,
)
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import Served
from charrnn.generation.draw import find_banned_ids
from charrnn.generation.sampler import drawn_seed, in_characters_of
from charrnn.text.prompt import source_positions

# Log-probabilities of one answer, at most: they take a hundred times the memory of the text
_MOST_SCORES = 500_000


class Answer:
    """The completions of one request, which are begun at once; `close` has to follow.

    Attributes:
        is_stream: whether `events` is wanted, or `whole`.

    Raises:
        InputError: the request asks for too much, or for what there is not.
        Refusal: too many are waiting.
    """

    def __init__(self, request: CompletionRequest, served: Served, options: ServeOptions) -> None:
        _require_within_limits(request, options)
        params = request.sampling_params()
        find_banned_ids(params, served.vocabulary)  # which refuses at once
        seed = drawn_seed() if params.seed is None else params.seed
        prompt = served.prompt(request.prompt)
        stops = tuple(in_characters_of(served.vocabulary, stop) for stop in request.stop)
        self.is_stream = request.stream
        self._events: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        self._job = Job(request, prompt, params, seed, stops, self._events.put_nowait)
        self._choices = [_Choice(served, prompt, request) for _ in range(request.n)]
        self._scheduler = served.scheduler
        self._prompt_tokens = len(prompt.ids)
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
            "seed": seed,
        }
        self._scheduler.submit(self._job)
        seconds = options.max_seconds
        late = Refusal(503, f"not done within {seconds:g} seconds; ask for less", code="timeout")
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(seconds, self._events.put_nowait, late)

    def close(self) -> None:
        """Nothing more is wanted: what is still being written gives its place away."""
        self._alarm.cancel()
        self._scheduler.drop(self._job)

    async def whole(self) -> dict[str, Any]:
        """The answer in one."""
        pieces = sorted([piece async for piece in self._pieces()])
        new = sum(len(piece.text) for piece in pieces)
        usage = {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": new,
            "total_tokens": self._prompt_tokens + new,
        }
        return {**self._head, "choices": list(map(self._choice, pieces)), "usage": usage}

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as server-sent events."""
        try:
            async for piece in self._pieces():
                yield _event({**self._head, "choices": [self._choice(piece)]})
            yield b"data: [DONE]\n\n"
        except Refusal as error:
            yield _event(error_body(error))

    def _choice(self, piece: Piece) -> dict[str, Any]:
        return self._choices[piece.number].of(piece)

    async def _pieces(self) -> AsyncIterator[Piece]:
        """The parts of all completions as they come, one of each where they are not streamed.

        Raises:
            Refusal: the time is up, or the model cannot write.
        """
        unfinished = len(self._choices)
        while unfinished:
            event = await self._events.get()
            if isinstance(event, Refusal):
                raise event
            if isinstance(event, Exception):
                fault = "this is a fault of the server; its log says more"
                raise Refusal(500, str(event) if isinstance(event, RunError) else fault)
            unfinished -= event.finish_reason is not None
            yield event


def _require_within_limits(request: CompletionRequest, options: ServeOptions) -> None:
    """Raise InputError for what is more than is given."""
    scored = request.max_tokens + (len(request.prompt) if request.echo else 0)
    scores = 0 if request.logprobs is None else scored * request.n * (1 + request.logprobs)
    for name, value, limit, what in (
        ("max_tokens", request.max_tokens, options.max_length, "new characters"),
        ("n", request.n, options.streams, "completions together"),
        ("prompt", len(request.prompt), options.max_prompt, "characters"),
        ("logprobs", scores, _MOST_SCORES, "of them together"),
    ):
        if value > limit:
            raise InputError(f"{name}: {value:,} {what} are more than the {limit:,} that are given")


class _Choice:
    """One completion on its way into the answer."""

    def __init__(self, served: Served, prompt: Prompt, request: CompletionRequest) -> None:
        self._served, self._prompt, self._echoes = served, prompt, request.echo
        self._scored = request.logprobs is not None
        self._end = len(prompt.text)  # of prompt and text together, so far
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def of(self, piece: Piece) -> dict[str, Any]:
        """A piece as OpenAI has it, the first with the prompt if that is wanted."""
        text, scores = piece.text, piece.scores
        places = [self._next_place(score) for score in scores]
        if self._served.vocabulary.is_bytes:
            data = text.encode("ascii", "surrogateescape")
            text = self._bytes.decode(data, piece.finish_reason is not None)
        if self._echoes:
            prompt, served, self._echoes = self._prompt, self._served, False
            text = prompt.text + text
            # where nothing was before its first character, that has no score
            unscored = prompt.ids[: len(prompt.ids) - len(piece.prompt_scores)].tolist()
            scores = [*(Score(id_, None, None) for id_ in unscored), *piece.prompt_scores, *scores]
            places = [*source_positions(prompt.text, served.vocabulary, served.unknown), *places]
        return {
            "index": piece.number,
            "text": text,
            "logprobs": self._logprobs(scores, places) if self._scored else None,
            "finish_reason": piece.finish_reason,
        }

    def _logprobs(self, scores: list[Score], places: list[int]) -> dict[str, Any]:
        tokens = self._served.tokens
        return {
            "tokens": [tokens[score.id] for score in scores],
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": [
                None if score.top is None else {tokens[id_]: value for id_, value in score.top}
                for score in scores
            ],
            "text_offset": places,
        }

    def _next_place(self, score: Score) -> int:
        """Where a new character stands in prompt and text together."""
        vocabulary = self._served.vocabulary
        # the bytes of a character after its first are in that one's place
        inside = vocabulary.is_bytes and "\udc80" <= vocabulary.characters[score.id] <= "\udcbf"
        self._end += not inside
        return self._end - 1


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"
