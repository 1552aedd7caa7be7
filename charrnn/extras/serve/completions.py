"""A request becomes a job of the scheduler; the job's pieces become the response."""

from __future__ import annotations

import asyncio
import codecs
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from charrnn.errors import InputError
from charrnn.extras.serve.completion_job import CompletionJob, Piece, Prompt, Score
from charrnn.extras.serve.protocol import (
    CompletionRequest,
    Refusal,
    as_json,
    encode_in_blocks,
    format_error,
)
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.generation.draw import Floats, Ids, find_banned_ids
from charrnn.generation.sampler import draw_seed

# Log-probabilities in one response. They take a hundred times the memory of the text.
_MAX_SCORES = 500_000
_MAX_BANNED = 10_000  # characters of `ban`, which each chunk looks up for each completion
# The scheduler's thread encodes larger responses in blocks.
_SMALL_SCORES, _SMALL_TEXT = 5_000, 500_000  # log-probabilities, characters; they take 8 ms


class Answer:
    """The completions of one request. The constructor submits the job; call `close` afterwards."""

    def __init__(
        self, request: CompletionRequest, served: ServedModel, options: ServeOptions
    ) -> None:
        params = request.to_sampling_params()
        served = served.plain if params.plain else served
        find_banned_ids(params, served.vocabulary)  # Raises InputError for a wrong `ban`.
        seed = draw_seed() if params.seed is None else params.seed
        stops = tuple(served.vocabulary.as_tokens(stop) for stop in request.stop)
        self.is_stream = request.stream  # whether to call `stream` or `collect`
        self._events: asyncio.Queue[Prompt | Piece | Exception] = asyncio.Queue()
        blocks = served.prepare_prompt(
            request.prompt, request.echo and request.logprobs is not None
        )
        self._job = CompletionJob(blocks, self._events.put_nowait, request, params, seed, stops)
        self._served, self._scheduler = served, served.scheduler
        self._sends_usage = request.stream_options.get("include_usage") is True
        self._completion_tokens = 0
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

    async def prepare(self) -> None:
        """Wait until the prompt is prepared. Raise InputError if it has an unknown character."""
        prompt, request = await self._receive(), self._job.request
        self._prompt_tokens = len(prompt.ids)
        self._choices = [_Choice(self._served, prompt, request) for _ in range(request.n)]

    def close(self) -> None:
        """Stop the unfinished completions."""
        self._alarm.cancel()
        self._scheduler.cancel(self._job)

    async def collect(self) -> bytes:
        """Wait for all completions, and return the body of the response."""
        pieces = sorted([piece async for piece in self._receive_pieces()])
        return await self._encode(pieces, usage=self._count_usage())

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the response as server-sent events."""
        try:
            fields = {"usage": None} if self._sends_usage else {}
            async for piece in self._receive_pieces():
                yield _format_event(await self._encode([piece], **fields))
            if self._sends_usage:
                yield _format_event(await self._encode([], usage=self._count_usage()))
            yield b"data: [DONE]\n\n"
        except Refusal as error:
            yield _format_event(as_json(format_error(error)))

    async def _encode(self, pieces: list[Piece], **fields: Any) -> bytes:
        request = self._job.request
        choices = [partial(self._choices[piece.number].format, piece) for piece in pieces]
        value = {**self._head, "choices": choices, **fields}
        size = sum(len(piece.text) + request.echo * len(request.prompt) for piece in pieces)
        scores = 0 if request.logprobs is None else size * (1 + request.logprobs)
        if scores > _SMALL_SCORES or size > _SMALL_TEXT:
            return await self._scheduler.run(encode_in_blocks(value))
        return as_json(value)

    def _count_usage(self) -> dict[str, int]:
        prompt, new = self._prompt_tokens, self._completion_tokens
        return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}

    async def _receive_pieces(self) -> AsyncIterator[Piece]:
        """Yield the pieces of all completions; each completion is one piece without streaming."""
        unfinished = len(self._choices)
        while unfinished:
            piece = await self._receive()
            unfinished -= piece.finish_reason is not None
            self._completion_tokens += len(piece.text)
            yield piece

    async def _receive(self) -> Any:
        if isinstance(event := await self._events.get(), Exception):
            raise event
        return event


def list_limits(options: ServeOptions) -> dict[str, int]:
    """Return the most that a request may ask for, by the names of its fields."""
    return {
        "max_tokens": options.max_length,
        "n": options.streams,
        "prompt": options.max_prompt,
    }


def check_limits(request: CompletionRequest, options: ServeOptions) -> None:
    """Raise InputError if the request asks for more than the server allows."""
    scored = request.max_tokens + (len(request.prompt) if request.echo else 0)
    scores = 0 if request.logprobs is None else scored * request.n * (1 + request.logprobs)
    if request.stream_options and not request.stream:
        raise InputError("stream_options: needs stream=true")
    limits = list_limits(options)
    limits |= {"logprobs": _MAX_SCORES, "ban": _MAX_BANNED}
    for name, value, unit in (
        ("max_tokens", request.max_tokens, "new characters"),
        ("n", request.n, "completions"),
        ("prompt", len(request.prompt), "characters"),
        ("logprobs", scores, "in all completions"),
        ("ban", len(request.ban or ""), "characters"),
    ):
        if value > (limit := limits[name]):
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
            text, self._needs_echo = self._prompt.text + text, False
            if self._has_logprobs:
                prompt = self._prompt
                # The first character has no score if no primer precedes it.
                unscored = prompt.ids[: len(prompt.ids) - len(piece.prompt_scores)].tolist()
                scores = [*(Score(id_, None, None) for id_ in unscored), *piece.prompt_scores]
                scores += piece.scores
                offsets = [*prompt.positions.tolist(), *offsets]
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
            # called by `encode_in_blocks`, so that many of them do not delay other clients
            "top_logprobs": [top and partial(self._format_top, *top) for _, _, top in scores],
            "text_offset": offsets,
        }

    def _format_top(self, ids: Ids, logprobs: Floats) -> dict[str, float]:
        tokens = self._served.tokens
        return {tokens[id_]: value for id_, value in zip(ids, logprobs.tolist(), strict=True)}

    def _advance_offset(self, score: Score) -> int:
        """Count one more character, and return its offset in prompt and text."""
        vocabulary = self._served.vocabulary
        # A continuation byte of UTF-8 has the offset of its character's first byte.
        inside = vocabulary.is_bytes and "\udc80" <= vocabulary.characters[score.id] <= "\udcbf"
        self._end += not inside
        return self._end - 1


def _format_event(body: bytes) -> bytes:
    return b"data: " + body + b"\n\n"
