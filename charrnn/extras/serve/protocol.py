"""What is asked and answered over HTTP: the part of OpenAI's completions that has a meaning here,
and errors in the shape that its clients read.

https://platform.openai.com/docs/api-reference/completions. A token is a character (in a
model of bytes a byte).
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from starlette.exceptions import HTTPException
from starlette.responses import Response

from charrnn.errors import InputError, did_you_mean, short
from charrnn.options.sampling import SamplingParams

_LARGEST = 2**63  # all numbers of a request are below

# OpenAI's fields that mean nothing to such a model: those that change nothing anyway, and the
# values of others that ask for nothing. More is refused, so that nobody waits for an effect.
IGNORED = (
    "user", "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store",
    "stream_options",
)  # fmt: skip
NEUTRAL = {"suffix": "", "best_of": 1, "presence_penalty": 0, "frequency_penalty": 0}


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


def refusal_of(error: InputError) -> Refusal:
    """A wrong value, with the name that the line about it begins with."""
    return Refusal(400, str(error), param=re.split("[=:]", str(error), maxsplit=1)[0])


class RequestBody(BaseModel):
    """A request: of the fields that it declares, null for the default, no number of absurd size."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_its_fields(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        given = {
            name: value for name, value in body.items() if value is not None and name not in IGNORED
        }
        for name, value in given.items():
            if name in NEUTRAL and value != NEUTRAL[name]:
                raise Refusal(400, f"{name}: is not supported here; leave it out", param=name)
            if name not in cls.model_fields and name not in NEUTRAL:
                hint = did_you_mean(name, cls.model_fields, "; /docs lists them")
                raise Refusal(400, f"{short(name)}: there is no such field{hint}", param=name)
        return {name: value for name, value in given.items() if name not in NEUTRAL}

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any, field: ValidationInfo) -> Any:
        if isinstance(value, (int, float)) and not abs(value) < _LARGEST:
            name = field.field_name
            raise Refusal(400, f"{name}: takes a number below 2**63", param=name)
        return value


_HINTS = get_type_hints(SamplingParams, include_extras=True)
SAMPLING: dict[str, Any] = {
    name: (_HINTS[name], getattr(SamplingParams, name))
    for name in (
        "top_p", "top_k", "min_p", "dry_multiplier", "dry_base", "dry_allowed_length",
        "logit_bias", "ban", "seed",
    )
}  # fmt: skip
_SamplingRequest: Any = create_model("_SamplingRequest", __base__=RequestBody, **SAMPLING)

Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class CompletionRequest(_SamplingRequest):
    """The body of `POST /v1/completions`."""

    model: str | None = Field(default=None, description="one of /v1/models; null: the first")
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)] = ""
    max_tokens: int = Field(default=16, ge=0, description="new characters, at most")
    temperature: float = Field(default=1.0, description="0: always the likeliest character")
    n: int = Field(default=1, ge=1, description="completions")
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] = Field(
        default_factory=list, description="end before the first of these texts"
    )
    echo: bool = Field(default=False, description="begin the text with the prompt")
    logprobs: int | None = Field(
        default=None, ge=0, le=20, description="how likely each character was, at temperature 1"
    )
    stream: bool = Field(default=False, description="as server-sent events, as it is written")

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop

    def sampling_params(self) -> SamplingParams:
        """How the completions are written.

        Raises:
            Refusal: a value is out of its range.
        """
        values = {name: getattr(self, name) for name in (*SAMPLING, "temperature")}
        try:
            return SamplingParams(length=self.max_tokens, **values)
        except InputError as error:  # which begins with the option's name
            raise refusal_of(error) from None

    @field_validator("logit_bias")
    @classmethod
    def _of_characters(cls, biases: dict[str, Any] | None) -> dict[str, Any] | None:
        if any(len(key) > 1 and key.isdecimal() for key in biases or ()):
            message = 'logit_bias: takes characters, such as {"e": -2}, and no ids of tokens'
            raise Refusal(400, message, param="logit_bias")
        return biases


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
