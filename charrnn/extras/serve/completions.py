"""Write the completions of requests in turns, in OpenAI's format.

https://platform.openai.com/docs/api-reference/completions, as far as it applies to charrnn. A
token is a character, or a byte if the model's vocabulary has bytes.

Who has the turn writes a piece of its texts and, with it, of other open texts of the model: a
network of 256 units writes eight texts together in half the time of one after the other.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from charrnn.errors import InputError
from charrnn.generation.draw import log_softmax, rank_ids
from charrnn.generation.sampler import Sampler, StartState, draw_seed
from charrnn.generation.streams import write_chunk
from charrnn.models.trained import concat_states, select_streams
from charrnn.options.ranges import require
from charrnn.options.sampling import SamplingParams

_READ_AT_ONCE = 1024  # characters of a prompt
_PIECE, _TOGETHER = 32, 16  # characters of each text, and texts, in a turn

# OpenAI's fields that have no effect here
_IGNORED = ("user", "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store")
# OpenAI's fields that charrnn lacks, with the value that has no effect. Any other value is refused,
# so that no client expects an effect.
_NEUTRAL: dict[str, Any] = {
    "best_of": 1, "echo": False, "frequency_penalty": 0, "logit_bias": {}, "presence_penalty": 0,
    "suffix": "",
}  # fmt: skip


class RequestBody(BaseModel):
    """The body of a request; null in a field means its default."""

    model_config = ConfigDict(extra="forbid", strict=True)

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


# OpenAI's clients may send one prompt as a list, and one stop string as a text.
_unwrap_single = BeforeValidator(lambda v: v[0] if isinstance(v, list) and len(v) == 1 else v)
_as_list = BeforeValidator(lambda v: [v] if isinstance(v, str) else v)
_Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class CompletionRequest(RequestBody):
    """The body of `POST /v1/completions`. `SamplingParams` has the ranges without a Field."""

    model: str | None = None  # one of /v1/models; None: the first
    prompt: Annotated[str, _unwrap_single, Field(max_length=100_000)] = ""
    max_tokens: int = Field(default=16, ge=0, le=10_000)
    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    min_p: float = SamplingParams.min_p
    n: int = Field(default=1, ge=1, le=_TOGETHER)
    seed: int | None = None
    stop: Annotated[list[_Stop], _as_list] = Field(default=[], max_length=16)
    logprobs: int | None = Field(default=None, ge=0, le=5)
    stream: bool = False
    stream_options: dict[str, bool | None] = Field(default={})

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


_T = TypeVar("_T")

_turns = ThreadPoolExecutor(max_workers=1)  # who waits is served in order


async def _take_turn(call: Callable[..., _T], *arguments: Any) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_turns, call, *arguments)


class Writer:
    """A model, and the texts that requests have begun and clients have not got."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.texts: list[OpenText] = []

    def write(self, texts: list[OpenText]) -> list[dict[str, Any]]:
        """Return the parts of texts that clients can get. If there is none, write a piece."""
        if not any(text.is_ready for text in texts):
            self._write_piece([*dict.fromkeys((*texts, *self.texts))])
        return [text.take() for text in texts if text.is_ready]

    def _write_piece(self, texts: list[OpenText]) -> None:
        """Write a piece of the first text, and of others that are drawn in the same way."""
        texts = [text for text in texts if text.finish_reason is None]
        texts = [text for text in texts if text.drawn_as == texts[0].drawn_as][:_TOGETHER]
        engine, streams = self.sampler.engine(streams=len(texts)), [text.stream for text in texts]
        before = concat_states([text.state for text in texts])
        ids, after = write_chunk(engine, streams, before, _PIECE)
        for number, (text, row) in enumerate(zip(texts, ids.tolist(), strict=True)):
            text.state = select_streams(after, [number])
            text.append(row)


class Completions:
    """The completions of a request. The constructor raises InputError for an invalid field.

    Args:
        model: its name.
    """

    def __init__(self, writer: Writer, request: CompletionRequest, model: str) -> None:
        self.writer, self.request = writer, request
        self.seed = draw_seed() if request.seed is None else request.seed
        self.params = request.to_sampling_params(self.seed)
        self.drawer = writer.sampler.make_drawer(self.params)
        self._prompt_ids = writer.sampler.encode_start_text(self.params)
        self._unread_ids, self._state = writer.sampler.prepare_prompt(self._prompt_ids)
        if not len(self._unread_ids):
            raise InputError("prompt: is empty, and the model knows no line end to begin with")
        self._texts: list[OpenText] = []
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "seed": self.seed,
        }

    async def collect(self, connection: Request) -> dict[str, Any]:
        """Return the whole response, unless the client has left."""
        choices = []
        async for ready in self._write():
            choices += ready
            if await connection.is_disconnected():
                raise HTTPException(400, "the client has left")
        choices.sort(key=lambda choice: int(choice["index"]))
        return {**self._head, "choices": choices, "usage": self._count_usage()}

    async def stream(self) -> AsyncIterator[str]:
        """Yield the response as server-sent events."""
        has_usage = self.request.stream_options.get("include_usage") is True
        usage = {"usage": None} if has_usage else {}  # the last event has it
        async for ready in self._write():
            events = [self._format_event(choices=[choice], **usage) for choice in ready]
            if events:  # in one write, after which a client that has left is noticed
                yield "".join(events)
        if has_usage:
            yield self._format_event(choices=[], usage=self._count_usage())
        yield "data: [DONE]\n\n"

    def _format_event(self, **fields: Any) -> str:
        return f"data: {json.dumps({**self._head, **fields})}\n\n"

    def _count_usage(self) -> dict[str, int]:
        read, new = len(self._prompt_ids), sum(text.num_written for text in self._texts)
        return {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}

    async def _write(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the parts that the client can get after each turn."""
        start = StartState(None, self._state)
        for first in range(0, len(self._unread_ids), _READ_AT_ONCE):
            ids = self._unread_ids[first : first + _READ_AT_ONCE].tolist()
            start = await _take_turn(self.writer.sampler.advance, start, ids)
            yield []
        self._texts = [OpenText(self, number, start) for number in range(self.request.n)]
        self.writer.texts += self._texts
        try:
            while left := [text for text in self._texts if not text.is_sent]:
                yield await _take_turn(self.writer.write, left)
        finally:
            for text in self._texts:
                self.writer.texts.remove(text)


class OpenText:
    """A completion that is being written. Only the thread of the turns changes it.

    Attributes:
        drawn_as: the sampling parameters without those that may differ between texts that are
            written together.
        state: before the last character, which the network has not read.
        num_written: characters so far.
        finish_reason: why the text has ended; None while it is being written.
        is_sent: whether the client has got all of it.
    """

    def __init__(self, parent: Completions, number: int, start: StartState) -> None:
        self._sampler, self._request, self._number = parent.writer.sampler, parent.request, number
        make_stream, stops = self._sampler.make_stream, parent.request.stop
        self.stream = make_stream(parent.drawer, parent.seed, number, start.last, stops)
        self.drawn_as = replace(parent.params, start_text="", length=1, seed=None, num_samples=1)
        self.state, self.num_written, self.is_sent = start.state, 0, False
        self.finish_reason: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # of a model of bytes
        self._scored = start  # the state after the last character with a score
        self._text, self._scores = "", list[Any]()  # which the client has not got

    @property
    def is_ready(self) -> bool:
        """Whether the client can get a part, or the whole text if it asked for no stream."""
        has_part = self._request.stream and self._text != ""
        return (has_part or self.finish_reason is not None) and not self.is_sent

    def append(self, ids: list[int]) -> None:
        """Append new characters."""
        text, self.finish_reason = self.stream.append_and_show(ids)
        self.num_written += len(text)
        if self._request.logprobs is not None:
            self._score(text, self._request.logprobs)
        if self.stream.vocabulary.is_bytes:
            data = text.encode("ascii", "surrogateescape")
            text = self._decoder.decode(data, final=self.finish_reason is not None)
        self._text += text

    def take(self) -> dict[str, Any]:
        """Return the part that the client has not got."""
        scores = None
        if self._request.logprobs is not None:
            names = ("tokens", "token_logprobs", "top_logprobs")
            scores = {name: [row[n] for row in self._scores] for n, name in enumerate(names)}
        text, self._text, self._scores = self._text, "", []
        self.is_sent = self.finish_reason is not None
        return {
            "index": self._number,
            "text": text,
            "logprobs": scores,
            "finish_reason": self.finish_reason,
        }

    def _score(self, text: str, num_likely: int) -> None:
        """Add the log-probabilities of new characters, at temperature 1 and without filters."""
        vocabulary, (last, state) = self.stream.vocabulary, self._scored
        ids = [last, *vocabulary.encode(text).tolist()]
        logits, state = self._sampler.reader.read(np.array([ids[:-1]], int), state)
        self._scored = StartState(ids[-1], state)
        # A byte that is no character is a question mark.
        names = "".join(vocabulary.characters).encode("utf-8", "replace").decode()
        for id_, row in zip(ids[1:], log_softmax(logits[0]), strict=True):
            likely = {names[i]: float(row[i]) for i in rank_ids(row)[:num_likely]}
            self._scores.append((names[id_], float(row[id_]), likely))
