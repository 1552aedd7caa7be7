"""Write the completions of requests in turns, in OpenAI's format.

https://platform.openai.com/docs/api-reference/completions, as far as it applies to charrnn. A
token is a character, or a byte if the model's vocabulary has bytes.

The requests take turns: one that has the turn reads or writes a piece of its texts.
"""

from __future__ import annotations

import asyncio
import codecs
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from fastapi import HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from charrnn.errors import InputError
from charrnn.generation.sampler import Piece, Sampler, StartState, draw_seed, write_batch
from charrnn.generation.streams import Stream
from charrnn.options.ranges import require
from charrnn.options.sampling import SamplingParams

_READ_AT_ONCE = 1024  # characters of a prompt in a turn

# OpenAI's fields that have no effect here
_IGNORED = ("user", "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store")
# OpenAI's fields that charrnn lacks, with the value that has no effect. Any other value is refused,
# so that no client expects an effect.
_NEUTRAL: dict[str, Any] = {
    "best_of": 1, "echo": False, "frequency_penalty": 0, "logit_bias": {}, "logprobs": None,
    "presence_penalty": 0, "suffix": "",
}  # fmt: skip


# OpenAI's clients may send one prompt as a list, and one stop string as a text.
_unwrap_single = BeforeValidator(lambda v: v[0] if isinstance(v, list) and len(v) == 1 else v)
_as_list = BeforeValidator(lambda v: [v] if isinstance(v, str) else v)
_Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class CompletionRequest(BaseModel):
    """The body of `POST /v1/completions`; null in a field means its default.

    `SamplingParams` has the ranges without a Field.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None  # one of /v1/models; None: the first
    prompt: Annotated[str, _unwrap_single, Field(max_length=100_000)] = ""
    max_tokens: int = Field(default=16, ge=0, le=10_000)
    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    min_p: float = SamplingParams.min_p
    n: int = Field(default=1, ge=1, le=16)
    seed: int | None = None
    stop: Annotated[list[_Stop], _as_list] = Field(default=[], max_length=16)
    stream: bool = False
    stream_options: dict[str, bool | None] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral_fields(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        given = {n: value for n, value in body.items() if value is not None and n not in _IGNORED}
        for name in given.keys() & _NEUTRAL.keys():
            why = "charrnn has no such option; leave the field out"
            require(given[name] == _NEUTRAL[name], name, given.pop(name), why)
        return given

    def to_sampling_params(self, seed: int) -> SamplingParams:
        """Return the sampling parameters. Raise InputError if a value is out of its range."""
        return SamplingParams(
            **self.model_dump(include={"temperature", "top_p", "top_k", "min_p"}),
            length=self.max_tokens,
            start_text=self.prompt,
            unknown="replace",
            seed=seed,
            num_samples=self.n,
        )


_turns = ThreadPoolExecutor(max_workers=1)  # who waits is served in order


class Completions:
    """The completions of a request. The constructor raises InputError for an invalid field."""

    def __init__(self, sampler: Sampler, request: CompletionRequest, model: str) -> None:
        self._sampler, self._request = sampler, request
        self._seed = draw_seed() if request.seed is None else request.seed
        params = request.to_sampling_params(self._seed)
        self._drawer = sampler.make_drawer(params)
        self._prompt_ids = sampler.encode_start_text(params)
        self._unread_ids, self._state = sampler.prepare_prompt(self._prompt_ids)
        if not len(self._unread_ids):
            raise InputError("prompt: is empty, and the model knows no line end to begin with")
        self._lengths = [0] * request.n  # in characters so far
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "seed": self._seed,
        }

    async def collect(self, connection: Request) -> dict[str, Any]:
        """Return the whole response, unless the client has left."""
        written: list[list[dict[str, Any]]] = [[] for _ in self._lengths]
        async for parts in self._take_turns():
            for part in parts:
                written[part["index"]].append(part)
            if await connection.is_disconnected():
                raise HTTPException(400, "the client has left")
        choices = [*map(_join_parts, written)]
        return {**self._head, "choices": choices, "usage": self._count_usage()}

    async def stream(self) -> AsyncIterator[str]:
        """Yield the response as server-sent events."""
        async for parts in self._take_turns():
            # in one write, after which a client that has left is noticed
            yield "".join(self._format_event(choices=[part]) for part in parts)
        if self._request.stream_options.get("include_usage"):
            yield self._format_event(choices=[], usage=self._count_usage())
        yield "data: [DONE]\n\n"

    def _format_event(self, **fields: Any) -> str:
        return f"data: {json.dumps({**self._head, **fields})}\n\n"

    def _count_usage(self) -> dict[str, int]:
        read, new = len(self._prompt_ids), sum(self._lengths)
        return {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}

    async def _take_turns(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Wait for each turn, and yield the parts of texts that were written in it."""
        loop, steps = asyncio.get_running_loop(), self._write()
        while (parts := await loop.run_in_executor(_turns, next, steps, None)) is not None:
            yield parts

    def _write(self) -> Iterator[list[dict[str, Any]]]:
        """Read the prompt and write the texts. Each step is a turn, and yields parts of texts."""
        request, start = self._request, StartState(None, self._state)
        for first in range(0, len(self._unread_ids), _READ_AT_ONCE):
            ids = self._unread_ids[first : first + _READ_AT_ONCE].tolist()
            start = self._sampler.continue_from(start, ids)
            yield []
        streams = [
            Stream(self._drawer, self._seed, number, start.last, self._prompt_ids, request.stop)
            for number in range(request.n)
        ]
        decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in streams]
        engine = self._sampler.engine(streams=request.n)
        pieces = write_batch(streams, engine, start.state)
        while new := [*itertools.islice(pieces, request.n)]:
            yield [self._to_part(piece, decoders[piece.sample]) for piece in new]

    def _to_part(self, piece: Piece, decoder: codecs.IncrementalDecoder) -> dict[str, Any]:
        """Return a part of a text in OpenAI's format. Bytes are decoded as UTF-8."""
        number, text, is_last = piece
        self._lengths[number] += len(text)
        if self._drawer.vocabulary.is_bytes:
            text = decoder.decode(text.encode("ascii", "surrogateescape"), final=is_last)
        reason = "length" if self._lengths[number] == self._request.max_tokens else "stop"
        return {
            "index": number,
            "text": text,
            "logprobs": None,
            "finish_reason": reason if is_last else None,
        }


def _join_parts(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a whole text from its parts. The last part has the reason of its end."""
    return {**parts[-1], "text": "".join(part["text"] for part in parts)}
