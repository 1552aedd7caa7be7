"""From a request to a job for a scheduler, and from what it writes to the answer."""

from __future__ import annotations

import asyncio
import codecs
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from charrnn.errors import InputError, RunError
from charrnn.extras.serve.completion_job import Job, Piece, Prompt, Score
from charrnn.extras.serve.protocol import (
    SAMPLING,
    CompletionRequest,
    Refusal,
    as_json,
    error_body,
)
from charrnn.extras.serve.scheduler import QueueFull
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import Served
from charrnn.generation.sampler import drawn_seed, in_characters_of, require_choosable
from charrnn.options.sampling import SamplingParams
from charrnn.text.unknown_characters import places_of
from charrnn.text.vocabulary import Vocabulary

# Log-probabilities of one answer, at most: they take a hundred times the memory of the text
_MOST_SCORES = 500_000


class Answer:
    """The completions that one request asks for, which are begun at once; `close` has to follow.

    Raises:
        Refusal: the request asks for too much, for what there is not, or too many are waiting.
    """

    def __init__(self, request: CompletionRequest, served: Served, options: ServeOptions) -> None:
        _require_within_limits(request, options)
        params = _sampling_params(request, served.vocabulary)
        seed = drawn_seed() if params.seed is None else params.seed
        prompts = [served.prompt(text) for text in request.prompts]
        stops = tuple(in_characters_of(served.vocabulary, stop) for stop in request.stops)
        self._events: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        self._job = Job(request, prompts, params, seed, stops, self._events.put_nowait)
        self._rows = [_Row(served, prompt, request) for prompt in prompts for _ in range(request.n)]
        self._ends_with_usage = request.stream_options.include_usage
        self._scheduler = served.scheduler
        self._usage = {"prompt_tokens": sum(len(prompt.ids) for prompt in prompts)}
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
            "seed": seed,
        }
        try:
            self._scheduler.submit(self._job)
        except QueueFull:
            raise Refusal(429, "too many requests are waiting; try again in a moment") from None
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
        choices = [choice async for choice in self._choices()]
        choices.sort(key=lambda choice: int(choice["index"]))
        return {**self._head, "choices": choices, "usage": self._usage}

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as server-sent events."""
        try:
            async for choice in self._choices():
                yield _event({**self._head, "choices": [choice]})
        except Refusal as error:
            yield _event(error_body(error))
            return
        if self._ends_with_usage:
            yield _event({**self._head, "choices": [], "usage": self._usage})
        yield b"data: [DONE]\n\n"

    async def _choices(self) -> AsyncIterator[dict[str, Any]]:
        """The parts of all completions as they come, one of each where they are not streamed.

        Raises:
            Refusal: the time is up, or the model cannot write.
        """
        unfinished, characters = len(self._rows), 0
        while unfinished:
            event = await self._events.get()
            if isinstance(event, Refusal):
                raise event
            if isinstance(event, Exception):
                fault = "this is a fault of the server; its log says more"
                raise Refusal(500, str(event) if isinstance(event, RunError) else fault)
            characters += len(event.text)
            unfinished -= event.finish_reason is not None
            yield self._rows[event.number].choice(event)
        self._usage["completion_tokens"] = characters
        self._usage["total_tokens"] = self._usage["prompt_tokens"] + characters


def _require_within_limits(request: CompletionRequest, options: ServeOptions) -> None:
    """Raise Refusal for what is more than is given."""
    texts, characters = request.prompts, sum(map(len, request.prompts))
    if not texts:
        raise Refusal(400, "prompt: takes a text or several, and not none", param="prompt")
    scored = len(texts) * request.max_tokens + (characters if request.echo else 0)
    scores = 0 if request.logprobs is None else scored * request.n * (1 + request.logprobs)
    for name, value, limit, what in (
        ("max_tokens", request.max_tokens, options.max_length, "new characters"),
        ("n", len(texts) * request.n, options.streams, "completions together"),
        ("prompt", characters, options.max_prompt, "characters together"),
        ("logprobs", scores, _MOST_SCORES, "of them together"),
    ):
        if value > limit:
            message = f"{name}: {value:,} {what} are more than the {limit:,} that are given"
            raise Refusal(400, message, param=name)


def _sampling_params(request: CompletionRequest, vocabulary: Vocabulary) -> SamplingParams:
    given = {name: getattr(request, name) for name in (*SAMPLING, "temperature")}
    try:
        params = SamplingParams(length=request.max_tokens, **given)
        require_choosable(params, vocabulary)
    except InputError as error:  # which begins with the option's name
        name = re.split("[=:]", str(error), maxsplit=1)[0]
        raise Refusal(400, str(error), param=name) from None
    return params


class _Row:
    """One completion on its way into the answer."""

    def __init__(self, served: Served, prompt: Prompt, request: CompletionRequest) -> None:
        self._served, self._prompt, self._echoes = served, prompt, request.echo
        self._scored = request.logprobs is not None
        self._place = len(prompt.text)
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def choice(self, piece: Piece) -> dict[str, Any]:
        """A piece as OpenAI has it, the first with the prompt if that is wanted."""
        served, prompt, text = self._served, self._prompt, piece.text
        scores, places = piece.scores, self._places(piece.scores)
        if served.vocabulary.is_bytes:
            data = text.encode("ascii", "surrogateescape")
            text = self._bytes.decode(data, piece.finish_reason is not None)
        if self._echoes:
            self._echoes = False
            text = prompt.text + text
            # where nothing was before its first character, that has no score
            without = prompt.ids[: len(prompt.ids) - len(piece.prompt_scores)].tolist()
            scores = [*(Score(id_, None, []) for id_ in without), *piece.prompt_scores, *scores]
            places = [*places_of(prompt.text, served.vocabulary, served.unknown), *places]
        logprobs = {
            "tokens": [served.tokens[score.id] for score in scores],
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": [
                None
                if score.logprob is None
                else {served.tokens[i]: value for i, value in score.top}
                for score in scores
            ],
            "text_offset": places,
        }
        return {
            "index": piece.number,
            "text": text,
            "logprobs": logprobs if self._scored else None,
            "finish_reason": piece.finish_reason,
        }

    def _places(self, scores: list[Score]) -> list[int]:
        """Where new characters stand in prompt and text together."""
        vocabulary, places = self._served.vocabulary, []
        for score in scores:
            # the bytes of a character after its first are in that one's place
            character = vocabulary.characters[score.id]
            inside = vocabulary.is_bytes and "\udc80" <= character <= "\udcbf"
            places.append(self._place - inside)
            self._place += not inside
        return places


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"
