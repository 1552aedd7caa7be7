"""Write the completions of a request piece by piece, in OpenAI's format.

Requests take turns: each one holds a lock for one step, which takes some hundredths of a second.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
from fastapi import HTTPException

from charrnn.extras.serve.completion_request import CompletionRequest
from charrnn.generation.draw import find_banned_ids, log_softmax, rank_ids
from charrnn.generation.sampler import Piece, Sampler, StartState, draw_seed

_READ_AT_ONCE = 1024  # characters of a prompt

Choice = dict[str, Any]  # a part of one completion


async def take_turns(steps: Iterator[list[Choice]], turn: asyncio.Lock) -> AsyncIterator[Choice]:
    """Yield the results of all steps. The lock serves those who wait for it in order."""
    while True:
        async with turn:
            choices = await asyncio.to_thread(next, steps, None)
        if choices is None:
            return
        for choice in choices:
            yield choice


class Completions:
    """The completions of a request. The constructor raises InputError for an invalid field.

    Args:
        name: of the model.
    """

    def __init__(self, sampler: Sampler, request: CompletionRequest, name: str) -> None:
        self._sampler, self._request = sampler, request
        self._vocabulary, seed = sampler.model.vocabulary, request.seed
        self._params = request.to_sampling_params(draw_seed() if seed is None else seed)
        find_banned_ids(self._params, self._vocabulary)
        self._prompt_ids = sampler.encode_start_text(self._params)
        self._num_written = [0] * request.n  # characters, by the number of the completion
        self._states: list[StartState] = []  # after the text so far, to score the next characters
        make_decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = [make_decoder("replace") for _ in range(request.n)]
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
            "seed": self._params.seed,
        }

    async def collect(
        self, choices: AsyncIterator[Choice], has_left: Callable[[], Awaitable[bool]]
    ) -> dict[str, Any]:
        """Return the whole response, unless the client has left."""
        whole: dict[int, Choice] = {}
        async for part in choices:
            if await has_left():
                raise HTTPException(400, "the client has left")
            choice = whole.setdefault(part["index"], part)
            if choice is not part:
                choice["text"] += part["text"]
                choice["finish_reason"] = part["finish_reason"]
                for name, values in (part["logprobs"] or {}).items():
                    choice["logprobs"][name] += values
        ordered = [whole[number] for number in range(self._request.n)]
        return {**self._head, "choices": ordered, "usage": self._count_usage()}

    async def stream(self, choices: AsyncIterator[Choice]) -> AsyncIterator[str]:
        """Yield the response as server-sent events."""
        has_usage = self._request.stream_options.get("include_usage") is True
        fields: dict[str, Any] = {"usage": None} if has_usage else {}
        async for choice in choices:
            yield self._format_event([choice], **fields)
        if has_usage:
            yield self._format_event([], usage=self._count_usage())
        yield "data: [DONE]\n\n"

    def _format_event(self, choices: list[Choice], **fields: Any) -> str:
        return f"data: {json.dumps({**self._head, 'choices': choices, **fields})}\n\n"

    def _count_usage(self) -> dict[str, int]:
        read, new = len(self._prompt_ids), sum(self._num_written)
        return {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}

    def write(self) -> Iterator[list[Choice]]:
        """Yield a part of a completion after each step, and none after a part of the prompt."""
        ids, state = self._sampler.prepare_prompt(self._prompt_ids)
        start = StartState(None, state)
        for first in range(0, len(ids), _READ_AT_ONCE):
            start = self._sampler.advance(start, ids[first : first + _READ_AT_ONCE].tolist())
            yield []
        self._states = [start] * self._request.n
        for piece in self._sampler.write(self._params, start=start, stops=self._request.stop):
            yield [self._format(piece)]

    def _format(self, piece: Piece) -> Choice:
        number, text = piece.sample, piece.text
        before = self._num_written[number]
        self._num_written[number] += len(text)
        log_probs = None if self._request.logprobs is None else self._score(number, text)
        if self._vocabulary.is_bytes:
            text = self._decoders[number].decode(_to_bytes(text), final=piece.last)
        if self._request.echo and not before:
            text = self._request.prompt + text
        is_full = self._num_written[number] == self._request.max_tokens
        return {
            "index": number,
            "text": text,
            "logprobs": log_probs,
            "finish_reason": ("length" if is_full else "stop") if piece.last else None,
        }

    def _score(self, number: int, text: str) -> dict[str, Any]:
        """Return the log-probabilities of new characters, at temperature 1 and without filters."""
        last, state = self._states[number]
        ids = [*([] if last is None else [last]), *self._vocabulary.encode(text).tolist()]
        logits, state = self._sampler.reader.read(np.array([ids[:-1]], int), state)
        self._states[number] = StartState(ids[-1] if ids else None, state)
        log_probs = log_softmax(logits[0])
        ranked = rank_ids(log_probs)[:, : self._request.logprobs].tolist()
        names = [*map(_format_token, self._vocabulary.characters)]
        scores, tops = list[float | None](), list[dict[str, float] | None]()
        if len(ids) == len(text) > 0:  # Nothing precedes the first character.
            scores, tops = [None], [None]
        for row, id_, top in zip(log_probs.tolist(), ids[1:], ranked, strict=True):
            scores.append(row[id_])
            tops.append({names[likely]: row[likely] for likely in top})
        end = len(self._request.prompt) + self._num_written[number]
        return {
            "tokens": [*map(_format_token, text)],
            "token_logprobs": scores,
            "top_logprobs": tops,
            "text_offset": [*range(end - len(text), end)],  # in tokens of the new text
        }


def _to_bytes(text: str) -> bytes:
    return text.encode("ascii", "surrogateescape")


def _format_token(character: str) -> str:
    """Return a character, or an undecodable byte, in OpenAI's notation."""
    is_byte = "\udc80" <= character <= "\udcff"
    return f"bytes:\\x{_to_bytes(character).hex()}" if is_byte else character
