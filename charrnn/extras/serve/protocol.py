"""What is asked and answered over HTTP: the part of OpenAI's completions that has a meaning here,
and errors in the shape that its clients read.

https://platform.openai.com/docs/api-reference/completions. A token is a character (in a
model of bytes a byte).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
    model_validator,
)
from starlette.exceptions import HTTPException
from starlette.responses import Response

from charrnn.errors import InputError
from charrnn.options.sampling import SamplingParams

# OpenAI's fields that change nothing here; any other that means nothing to such a model is refused
# unless it asks for nothing, so that nobody waits for an effect
IGNORED = (
    "user", "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store",
    "stream_options",
)  # fmt: skip


class Refusal(HTTPException):
    """A request that is answered with an error.

    Args:
        param: the part of the request that is wrong.
        code: a word for programs, where there is a usual one.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(status, message)
        self.param, self.code = param, code


class RequestBody(BaseModel):
    """A request: of the fields that it declares, null for the default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: v for name, v in body.items() if v is not None and name not in IGNORED}


# what a request names in OpenAI's way, or does not say
_ELSEWHERE = {
    "length", "temperature", "start_text", "unknown", "prime", "sample", "num_samples", "until",
    "engine", "precision",
}  # fmt: skip
SAMPLING: dict[str, Any] = {
    name: (hint, getattr(SamplingParams, name))
    for name, hint in get_type_hints(SamplingParams, include_extras=True).items()
    if name not in _ELSEWHERE
}
_SamplingRequest: Any = create_model("_SamplingRequest", __base__=RequestBody, **SAMPLING)

Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Nothing = Annotated[float, Field(ge=0, le=0)]


def _only_one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class CompletionRequest(_SamplingRequest):
    """The body of `POST /v1/completions`."""

    model: str | None = Field(default=None, description="one of /v1/models; null: the first")
    prompt: Annotated[str, BeforeValidator(_only_one)] = ""
    max_tokens: int = Field(default=16, ge=0, description="new characters, at most")
    temperature: float = Field(default=1.0, description="0: always the likeliest character")
    n: int = Field(default=1, ge=1, description="completions")
    stop: Annotated[list[Stop], BeforeValidator(_as_list)] = Field(
        default=[], max_length=16, description="end before the first of these texts"
    )
    echo: bool = Field(default=False, description="begin the text with the prompt")
    logprobs: int | None = Field(
        default=None, ge=0, le=20, description="how likely each character was, at temperature 1"
    )
    stream: bool = Field(default=False, description="as server-sent events, as it is written")
    suffix: Literal[""] = ""
    best_of: Literal[1] = 1
    presence_penalty: Nothing = 0
    frequency_penalty: Nothing = 0

    def sampling_params(self) -> SamplingParams:
        """How the completions are written.

        Raises:
            InputError: a value is out of its range.
        """
        if any(len(key) > 1 and key.isdecimal() for key in self.logit_bias or ()):
            raise InputError(
                'logit_bias: takes characters, such as {"e": -2}, and no ids of tokens'
            )
        values = {name: getattr(self, name) for name in (*SAMPLING, "temperature")}
        return SamplingParams(length=self.max_tokens, **values)


class TextRequest(RequestBody):
    """The body of `POST /v1/read_as`, `/v1/copied` and `/v1/lines`."""

    text: str
    model: str | None = Field(default=None, description="one of /v1/models; null: the first")


_LATER = {"Retry-After": "1"}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: _LATER, 503: _LATER}


def error_body(error: HTTPException) -> dict[str, Any]:
    status = error.status_code
    detail = {
        "message": str(error.detail),
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": getattr(error, "param", None),
        "code": getattr(error, "code", None),
    }
    return {"error": detail}


def as_json(value: Any) -> bytes:
    """A value as JSON in ASCII, so that lone surrogates, which have no UTF-8, can be told."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


class JSONAnswer(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return as_json(content)


def error_answer(error: HTTPException) -> Response:
    """An error as an answer of its status."""
    headers = {**_HEADERS.get(error.status_code, {}), **(error.headers or {})}
    return JSONAnswer(error_body(error), error.status_code, headers)
