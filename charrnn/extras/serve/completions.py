"""A request becomes a job of the scheduler; the job's pieces become the response."""

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
    format_error,
)
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.generation.draw import find_banned_ids
from charrnn.generation.sampler import draw_seed, to_vocabulary_characters
from charrnn.text.prompt import find_source_positions

# Log-probabilities in one response. They take a hundred times the memory of the text.
_MAX_SCORES = 500_000


class Answer:
    """The completions of one request. The constructor submits the job; call `close` afterwards.

    Attributes:
        is_stream: whether the client wants `stream`; otherwise call `collect`.

    Raises:
        InputError: a value of the request is wrong or above its limit.
        Refusal: too many requests are waiting.
    """

    def __init__(
        self, request: CompletionRequest, served: ServedModel, options: ServeOptions
    ) -> None:
        _check_limits(request, options)
        params = request.to_sampling_params()
        find_banned_ids(params, served.vocabulary)  # Raises InputError for a wrong `ban`.
        seed = draw_seed() if params.seed is None else params.seed
        prompt = served.prepare_prompt(request.prompt)
        stops = tuple(to_vocabulary_characters(served.vocabulary, stop) for stop in request.stop)
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
        late = Refusal(
            503, f"timeout after {seconds:g} seconds; ask for fewer characters", code="timeout"
        )
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(seconds, self._events.put_nowait, late)

    def close(self) -> None:
        """Stop the unfinished completions."""
        self._alarm.cancel()
        self._scheduler.cancel(self._job)

    async def collect(self) -> dict[str, Any]:
        """Wait for all completions, and return the body of the response."""
        pieces = sorted([piece async for piece in self._receive_pieces()])
        new = sum(len(piece.text) for piece in pieces)
        usage = {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": new,
            "total_tokens": self._prompt_tokens + new,
        }
        return {**self._head, "choices": list(map(self._choice, pieces)), "usage": usage}

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the response as server-sent events."""
        try:
            async for piece in self._receive_pieces():
                yield _format_event({**self._head, "choices": [self._choice(piece)]})
            yield b"data: [DONE]\n\n"
        except Refusal as error:
            yield _format_event(format_error(error))

    def _choice(self, piece: Piece) -> dict[str, Any]:
        return self._choices[piece.number].format(piece)

    async def _receive_pieces(self) -> AsyncIterator[Piece]:
        """Yield the pieces of all completions; each completion is one piece without streaming.

        Raises:
            Refusal: a timeout, or the model failed.
        """
        unfinished = len(self._choices)
        while unfinished:
            event = await self._events.get()
            if isinstance(event, Refusal):
                raise event
            if isinstance(event, Exception):
                internal = "internal server error; see the log of the server"
                raise Refusal(500, str(event) if isinstance(event, RunError) else internal)
            unfinished -= event.finish_reason is not None
            yield event


def _check_limits(request: CompletionRequest, options: ServeOptions) -> None:
    """Raise InputError if the request asks for more than the server allows."""
    scored = request.max_tokens + (len(request.prompt) if request.echo else 0)
    scores = 0 if request.logprobs is None else scored * request.n * (1 + request.logprobs)
    for name, value, limit, unit in (
        ("max_tokens", request.max_tokens, options.max_length, "new characters"),
        ("n", request.n, options.streams, "completions"),
        ("prompt", len(request.prompt), options.max_prompt, "characters"),
        ("logprobs", scores, _MAX_SCORES, "in all completions"),
    ):
        if value > limit:
            raise InputError(f"{name}: {value:,} {unit}; this server allows at most {limit:,}")


class _Choice:
    """A completion in OpenAI's format."""

    def __init__(self, served: ServedModel, prompt: Prompt, request: CompletionRequest) -> None:
        self._served, self._prompt, self._needs_echo = served, prompt, request.echo
        self._has_logprobs = request.logprobs is not None
        self._end = len(prompt.text)  # the length of prompt and text so far
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def format(self, piece: Piece) -> dict[str, Any]:
        """Return a piece in OpenAI's format; the first contains the prompt if `echo` is set."""
        text, scores = piece.text, piece.scores
        offsets = [self._advance_offset(score) for score in scores]
        if self._served.vocabulary.is_bytes:
            data = text.encode("ascii", "surrogateescape")
            text = self._decoder.decode(data, piece.finish_reason is not None)
        if self._needs_echo:
            prompt, served, self._needs_echo = self._prompt, self._served, False
            text = prompt.text + text
            # The first character has no score if no primer precedes it.
            unscored = prompt.ids[: len(prompt.ids) - len(piece.prompt_scores)].tolist()
            scores = [*(Score(id_, None, None) for id_ in unscored), *piece.prompt_scores, *scores]
            offsets = [
                *find_source_positions(prompt.text, served.vocabulary, served.unknown),
                *offsets,
            ]
        return {
            "index": piece.number,
            "text": text,
            "logprobs": self._format_logprobs(scores, offsets) if self._has_logprobs else None,
            "finish_reason": piece.finish_reason,
        }

    def _format_logprobs(self, scores: list[Score], offsets: list[int]) -> dict[str, Any]:
        tokens = self._served.tokens
        return {
            "tokens": [tokens[score.id] for score in scores],
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": [
                None if score.top is None else {tokens[id_]: value for id_, value in score.top}
                for score in scores
            ],
            "text_offset": offsets,
        }

    def _advance_offset(self, score: Score) -> int:
        """Count one more character, and return its offset in prompt and text."""
        vocabulary = self._served.vocabulary
        # A continuation byte of UTF-8 has the offset of its character's first byte.
        inside = vocabulary.is_bytes and "\udc80" <= vocabulary.characters[score.id] <= "\udcbf"
        self._end += not inside
        return self._end - 1


def _format_event(value: dict[str, Any]) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"
