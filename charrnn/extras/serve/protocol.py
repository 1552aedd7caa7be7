"""What is asked and answered over HTTP: the part of OpenAI's completions that has a meaning here,
and errors in the shape that its clients read.

https://platform.openai.com/docs/api-reference/completions. A token is a character (in a
model of bytes a byte). An option of theirs that means nothing to such a model is accepted where
it asks for nothing, and refused where it asks for something, so that nobody waits for an effect
that never comes.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from starlette.responses import Response

from charrnn.options.sampling import SamplingParams

MOST_LIKELIEST = 20
MOST_STOPS = 16
_NOTHING = "is not supported here; leave it out"

Number = Annotated[float, Field(allow_inf_nan=False)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class StreamOptions(BaseModel):
    """How a streamed answer ends."""

    include_usage: bool | None = Field(default=False, description="a last event with the usage")


class CompletionRequest(BaseModel):
    """The body of `POST /v1/completions`."""

    model_config = ConfigDict(extra="ignore", title="CompletionRequest")

    model: str | None = Field(
        default=None, description="a name that /v1/models lists; null: the first"
    )
    prompt: str | list[str] = Field(
        default="", description="what is gone on from; a list: each by itself"
    )
    max_tokens: int | None = Field(default=16, ge=0, description="new characters, at most")
    temperature: Number | None = Field(
        default=1.0, ge=0, description="0: always the likeliest character"
    )
    top_p: Number | None = Field(
        default=1.0,
        gt=0,
        le=1,
        description="among the likeliest that together have this probability",
    )
    top_k: int | None = Field(
        default=None, ge=1, description="among the k likeliest characters only"
    )
    min_p: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="among those this many times as likely as the likeliest",
    )
    dry_multiplier: Number | None = Field(
        default=SamplingParams.dry_multiplier,
        ge=0,
        description="above 0: less of a sequence that the text has already (DRY)",
    )
    dry_base: Number | None = Field(
        default=SamplingParams.dry_base,
        ge=1,
        description="how steeply that grows with the sequence",
    )
    dry_allowed_length: int | None = Field(
        default=SamplingParams.dry_allowed_length,
        ge=1,
        description="characters that may be repeated freely",
    )
    logit_bias: dict[str, Bias] | None = Field(
        default=None, description="added to the logits of these characters; a key may be several"
    )
    ban: str | None = Field(default=None, description="characters that are never written")
    n: int | None = Field(default=1, ge=1, description="completions of each prompt")
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="the same seed gives the same text; null: drawn"
    )
    stop: Stop | list[Stop] | None = Field(
        default=None, description="end before the first of these texts"
    )
    include_stop_str_in_output: bool | None = Field(
        default=False, description="end behind the text that stops, not before it (as in vLLM)"
    )
    echo: bool | None = Field(default=False, description="begin the text with the prompt")
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=MOST_LIKELIEST,
        description="how likely each character was, at temperature 1",
    )
    stream: bool | None = Field(
        default=False, description="as server-sent events, as it is written"
    )
    stream_options: StreamOptions | None = None
    user: str | None = Field(
        default=None, max_length=200, description="whose last prompt this goes on from"
    )

    suffix: str | None = Field(default=None, description="refused unless empty")
    best_of: int | None = Field(default=None, description="refused unless it is n")
    presence_penalty: Number | None = Field(default=0, description="refused unless 0")
    frequency_penalty: Number | None = Field(default=0, description="refused unless 0")

    @field_validator("suffix", "presence_penalty", "frequency_penalty")
    @classmethod
    def _ask_for_nothing(cls, value: Any) -> Any:
        if value:
            raise ValueError(_NOTHING)
        return value

    @field_validator("prompt", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("takes a text, or a list of texts")
        return value

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) > MOST_STOPS:
            raise ValueError(f"takes at most {MOST_STOPS} texts")
        return value

    # What is meant where a client writes null, or one text for a list of one

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def length(self) -> int:
        return 16 if self.max_tokens is None else self.max_tokens

    def sampling_params(self) -> SamplingParams:
        """What it asks of the sampler; null is the option's default."""
        given = {name: getattr(self, name) for name in _SAMPLING}
        asked = {name: value for name, value in given.items() if value is not None}
        return SamplingParams(**{"temperature": 1.0, **asked})

    @property
    def samples(self) -> int:
        return self.n or 1


# the fields of a request that are those of SamplingParams
_SAMPLING = {f.name for f in fields(SamplingParams)} & {*CompletionRequest.model_fields, "length"}


class Logprobs(BaseModel):
    """Parallel lists, an entry a character; the first of a prompt has no probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class Usage(BaseModel):
    """In characters."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """The answer to a request, or one event of it."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int = Field(description="seconds since 1970")
    model: str
    choices: list[Choice]
    usage: Usage | None = None
    seed: int = Field(description="asked for again, it gives the same text again")


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["charrnn"] = "charrnn"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Generated(BaseModel):
    """torch-rnn-server's answer."""

    start_text: str
    time: float = Field(description="seconds")
    completions: list[str]


class CopiedRequest(BaseModel):
    """The body of `POST /v1/copied`."""

    text: str
    min_length: int = Field(default=20, ge=1, description="a shorter passage is no copy")
    model: str | None = Field(default=None, description="whose training text; null: the first's")


class Copied(BaseModel):
    ranges: list[tuple[int, int]] = Field(
        description="first character of each passage and the one after it, counted from 0"
    )


class ReadAsRequest(BaseModel):
    """The body of `POST /v1/read_as`."""

    text: str
    model: str | None = Field(default=None, description="whose characters; null: the first's")


class ReadAs(BaseModel):
    read_as: dict[str, str | None] = Field(
        description='the unknown characters, each with what is read instead: "" where it is left '
        "out, null where a prompt with it is refused"
    )


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """What every status from 400 on comes with."""

    error: ErrorDetail


# What kind of error a status is; others below 500 are invalid requests
_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        param: the part of the request that is wrong.
        code: a word for programs, where there is a usual one.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        kind = _TYPES.get(self.status) or (
            "invalid_request_error" if self.status < 500 else "server_error"
        )
        return {
            "error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        }

    def response(self) -> Response:
        """As an answer of its status."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (429, 503):
            headers["Retry-After"] = "1"
        return answer(self.body(), self.status, headers)


def refused(status: int, message: str) -> Response:
    """An error as an answer."""
    return Refusal(status, message).response()


def written(value: Any) -> bytes:
    """A value as JSON in ASCII, so that lone surrogates, which have no UTF-8, can be told."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as a JSON answer."""
    return Response(written(value), status, headers, "application/json")
