"""From a request to jobs for a scheduler, and from what it writes to the answer."""

from __future__ import annotations

import asyncio
import codecs
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import chain
from typing import Any

from charrnn.errors import InputError, RunError
from charrnn.extras.serve.completion_job import Event, Job, Piece, PromptScored, Scored
from charrnn.extras.serve.protocol import CompletionRequest, Refusal, written
from charrnn.extras.serve.scheduler import QueueFull
from charrnn.extras.serve.serve_command import Limits
from charrnn.extras.serve.served_models import Prompt, Served
from charrnn.generation.sampler import drawn_seed, in_characters_of, require_choosable
from charrnn.text.unknown_characters import places_of

# Log-probabilities of one answer, at most: they take a hundred times the memory of the text
_MOST_SCORES = 500_000

_Numbered = tuple[int, Event]


class Answer:
    """The completions that one request asks for.

    Args:
        client: whose last prompt this goes on from.

    Raises:
        Refusal: the request asks for too much, or for what there is not.
    """

    def __init__(
        self, asked: CompletionRequest, served: Served, limits: Limits, client: str
    ) -> None:
        self._served, self._limits = served, limits
        _require_within_limits(asked, limits)
        self._samples = asked.samples
        self._prompts = [served.prompt(text) for text in asked.prompts]
        self._echo, self._streamed = bool(asked.echo), bool(asked.stream)
        self._ends_with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        self._scored = asked.logprobs is not None
        self.seed = drawn_seed() if asked.seed is None else asked.seed
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
            "seed": self.seed,
        }
        self._events: asyncio.Queue[_Numbered] = asyncio.Queue()
        self._jobs = [self._job(asked, place, client) for place in range(len(self._prompts))]
        self._rows = [_Row(served, prompt) for prompt in self._each_prompt()]
        self._written = 0

    def _job(self, asked: CompletionRequest, place: int, client: str) -> Job:
        vocabulary, prompt = self._served.vocabulary, self._prompts[place]
        try:
            params = asked.sampling_params()
            require_choosable(params, vocabulary)
        except InputError as error:  # which begins with the option's name
            name = re.split("[=:]", str(error), maxsplit=1)[0]
            raise Refusal(400, str(error), param=name) from None
        return Job(
            prompt=prompt.read,
            state=prompt.state,
            receive=lambda event: self._events.put_nowait((place, event)),
            samples=self._samples,
            start=prompt.ids,
            params=params,
            seed=self.seed,
            stop=tuple(in_characters_of(vocabulary, stop) for stop in asked.stops),
            keep_stop=bool(asked.include_stop_str_in_output),
            likeliest=asked.logprobs,
            score_prompt=self._echo and self._scored,
            streamed=self._streamed,
            client=client,
        )

    def _each_prompt(self) -> Iterator[Prompt]:
        """The prompt of each completion."""
        return (prompt for prompt in self._prompts for _ in range(self._samples))

    def begin(self) -> None:
        """Ask for the completions; `close` has to follow.

        Raises:
            Refusal: too many others are waiting.
        """
        try:
            self._served.scheduler.submit(self._jobs)
        except QueueFull:
            raise Refusal(429, "too many requests are waiting; try again in a moment") from None
        deadline = asyncio.get_running_loop().time() + self._limits.max_seconds
        text = f"not done within {self._limits.max_seconds:g} seconds; ask for less"
        late = Refusal(503, text, code="timeout")
        call = partial(self._events.put_nowait, (0, late))
        self._alarm = asyncio.get_running_loop().call_at(deadline, call)

    def close(self) -> None:
        """Nothing more is wanted: what is still being written gives its place away."""
        self._alarm.cancel()
        if any(row.finish is None for row in self._rows):
            self._served.scheduler.drop(self._jobs)

    def leave(self) -> None:
        """The client is gone."""
        self._events.put_nowait((0, ClientLeft()))

    async def whole(self) -> dict[str, Any]:
        """The answer in one."""
        parts: list[list[dict[str, Any]]] = [[] for _ in self._rows]
        async for choice in self._choices():
            parts[choice["index"]].append(choice)
        return {**self._head, "choices": [_joined(p) for p in parts], "usage": self._usage()}

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as server-sent events."""
        try:
            async for choice in self._choices():
                yield _event({**self._head, "choices": [choice]})
        except (Refusal, RunError) as error:
            refusal = error if isinstance(error, Refusal) else Refusal(500, str(error))
            yield _event(refusal.body())
            return
        if self._ends_with_usage:
            yield _event({**self._head, "choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    async def _choices(self) -> AsyncIterator[dict[str, Any]]:
        """The parts of all completions, in the order in which they come.

        Raises:
            Refusal: the time is up.
            RunError: the model cannot write.
            ClientLeft: nobody waits any more.
        """
        for index, row in enumerate(self._rows):
            if self._echo and not self._scored:
                yield row.part(index, row.prompt.text, None)
        going = len(self._rows)
        while going:
            place, event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            first = place * self._samples
            if isinstance(event, PromptScored):
                for index in range(first, first + self._samples):
                    yield self._rows[index].echoed(index, event.scored)
                continue
            row = self._rows[first + event.sample]
            self._written += len(event.text)
            going -= event.finish is not None
            yield row.go_on(first + event.sample, event, self._scored)

    def _usage(self) -> dict[str, int]:
        read = sum(len(prompt.ids) for prompt in self._prompts)
        return {
            "prompt_tokens": read,
            "completion_tokens": self._written,
            "total_tokens": read + self._written,
        }


def _require_within_limits(asked: CompletionRequest, limits: Limits) -> None:
    """Raise Refusal for what is more than is given."""
    texts, characters = asked.prompts, sum(map(len, asked.prompts))
    if not texts:
        raise Refusal(400, "prompt: takes a text or several, and not none", param="prompt")
    if asked.best_of not in (None, asked.samples):
        raise Refusal(400, "best_of: is not supported here; leave it out", param="best_of")
    scored = len(texts) * asked.length + (characters if asked.echo else 0)
    scores = 0 if asked.logprobs is None else scored * asked.samples * (1 + asked.logprobs)
    for name, value, limit, what in (
        ("max_tokens", asked.length, limits.max_length, "new characters"),
        ("n", len(texts) * asked.samples, limits.streams, "completions together"),
        ("prompt", characters, limits.max_prompt, "characters together"),
        ("logprobs", scores, _MOST_SCORES, "of them together"),
    ):
        if value > limit:
            message = f"{name}: {value:,} {what} are more than the {limit:,} that are given"
            raise Refusal(400, message, param=name)


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class _Row:
    """One completion on its way into the answer."""

    def __init__(self, served: Served, prompt: Prompt) -> None:
        self.prompt = prompt
        self.finish: str | None = None
        self._vocabulary, self._unknown = served.vocabulary, served.reading.unknown
        self._place = len(prompt.text)
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def part(self, index: int, text: str, logprobs: dict[str, Any] | None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": self.finish}

    def echoed(self, index: int, scored: Scored) -> dict[str, Any]:
        """The prompt with its scores; its first character has none where nothing was before it."""
        text, ids = self.prompt.text, self.prompt.ids.tolist()
        whole = Scored(ids, scored.logprobs, scored.likeliest)
        places = places_of(text, self._vocabulary, self._unknown)
        logprobs = self._logprobs(whole, places, without=len(ids) - len(scored.ids))
        return self.part(index, text, logprobs)

    def go_on(self, index: int, piece: Piece, scored: bool) -> dict[str, Any]:
        """New text."""
        self.finish = piece.finish
        text = piece.text
        if self._vocabulary.is_bytes:
            data = text.encode("ascii", "surrogateescape")
            text = self._bytes.decode(data, piece.finish is not None)
        found = None
        if scored and piece.scored is not None:
            found = self._logprobs(piece.scored, self._next_places(piece.scored.ids))
        return self.part(index, text, found)

    def _next_places(self, ids: list[int]) -> list[int]:
        """Where new characters stand in prompt and text together."""
        characters, places = self._vocabulary.characters, []
        for id_ in ids:
            # the bytes of a character after its first are in that one's place
            inside = self._vocabulary.is_bytes and "\udc80" <= characters[id_] <= "\udcbf"
            places.append(self._place - inside)
            self._place += not inside
        return places

    def _logprobs(self, scored: Scored, places: list[int], without: int = 0) -> dict[str, Any]:
        """In the protocol's parallel lists; so many first ones have no probability."""
        none: list[None] = [None] * without
        characters = self._vocabulary.characters
        return {
            "tokens": [_token(characters[id_]) for id_ in scored.ids],
            "token_logprobs": [*none, *scored.logprobs],
            "top_logprobs": [
                *none,
                *({_token(characters[i]): value for i, value in row} for row in scored.likeliest),
            ],
            "text_offset": places,
        }


def _token(character: str) -> str:
    """A character, or a byte that is none, as OpenAI writes it."""
    if "\udc80" <= character <= "\udcff":
        return f"bytes:\\x{ord(character) - 0xDC00:02x}"
    return character


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The parts of one completion as one."""
    whole = {**parts[-1], "text": "".join(part["text"] for part in parts)}
    lists = [part["logprobs"] for part in parts if part["logprobs"] is not None]
    if lists:
        whole["logprobs"] = {name: [*chain(*(p[name] for p in lists))] for name in lists[0]}
    return whole


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + written(value) + b"\n\n"
