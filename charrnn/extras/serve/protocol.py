"""Requests and responses in the format of OpenAI's completions API.

https://platform.openai.com/docs/api-reference/completions, as far as it applies to charrnn. A
token is a character, or a byte if the model's vocabulary has bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine, Generator
from itertools import islice
from typing import Annotated, Any, Literal, get_type_hints

from fastapi import Request
from fastapi.routing import APIRoute
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

from charrnn.options.sampling import SamplingParams

# Fields of OpenAI that have no effect here. Any other unsupported field is an error unless it has
# its default value, so that no client expects an effect.
IGNORED = (
    "user", "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store",
)  # fmt: skip


class Refusal(HTTPException):
    """An error response: which field of the request is wrong, and OpenAI's code of the error."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(status, message)
        self.param, self.code = param, code


# Python's parser is fast with a long text, but a body of a million short values would block the
# server for half a second. A comma or a bracket precedes each value; in a text they do not count.
_MARK = re.compile(rb'[\[{,]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_MAX_VALUES = 5_000


def parse_body(body: bytes) -> Any:
    """Return the value of a JSON text. Raise Refusal if it is invalid, or has too many values."""
    marks = islice(_MARK.finditer(body), _MAX_VALUES + 1)
    if sum(map(body.count, b"[{,")) > _MAX_VALUES < sum(1 for _ in marks):
        raise Refusal(400, f"body: has more than {_MAX_VALUES:,} values")
    try:
        return json.loads(body.decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError) as error:  # Python says what is wrong, and where.
        raise Refusal(400, f"body: is not JSON: {str(error).partition(';')[0]}") from None


class _JSONRequest(Request):
    async def json(self) -> Any:
        return parse_body(await self.body())


class JSONRoute(APIRoute):
    """A route whose requests are parsed by `parse_body`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(_JSONRequest(request.scope, request.receive))

        return handle_json


class RequestBody(BaseModel):
    """The body of a request; null in a field means its default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _remove_nulls(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: v for name, v in body.items() if v is not None and name not in IGNORED}


# Sampling parameters that have another name in OpenAI's API, or that a request cannot set.
_EXCLUDED = {
    "length", "temperature", "start_text", "unknown", "sample", "num_samples", "until",
    "device",
}  # fmt: skip
SAMPLING: dict[str, Any] = {
    name: (hint, getattr(SamplingParams, name))
    for name, hint in get_type_hints(SamplingParams, include_extras=True).items()
    if name not in _EXCLUDED
}
_SamplingRequest: Any = create_model("_SamplingRequest", __base__=RequestBody, **SAMPLING)

Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Zero = Annotated[float, Field(ge=0, le=0)]


# OpenAI's clients may send one prompt as a list, and one stop string as a text.
_unwrap_single = BeforeValidator(lambda v: v[0] if isinstance(v, list) and len(v) == 1 else v)
_as_list = BeforeValidator(lambda v: [v] if isinstance(v, str) else v)


class CompletionRequest(_SamplingRequest):
    """The body of `POST /v1/completions`."""

    model: str | None = Field(default=None, description="one of /v1/models; null: the first")
    prompt: Annotated[str, _unwrap_single] = ""
    max_tokens: int = Field(default=16, ge=0, description="new characters, at most")
    temperature: float = Field(default=1.0, description="0: always the likeliest character")
    n: int = Field(default=1, ge=1, description="number of completions")
    stop: Annotated[list[Stop], _as_list] = Field(
        default=[], max_length=16, description="end before the first of these texts"
    )
    echo: bool = Field(default=False, description="return the prompt before the completion")
    logprobs: int | None = Field(
        default=None, ge=0, le=20, description="return log-probabilities, and this many top ones"
    )
    stream: bool = Field(default=False, description="send the text while it is written")
    stream_options: dict[Literal["include_usage", "include_obfuscation"], bool | None] = Field(
        default={}, description="include_usage: end a stream with the number of its characters"
    )
    suffix: Literal[""] = ""
    best_of: Literal[1] = 1
    presence_penalty: Zero = 0
    frequency_penalty: Zero = 0
    logit_bias: dict[str, float] = Field(default={}, max_length=0)

    def to_sampling_params(self) -> SamplingParams:
        """Return the sampling parameters. Raise InputError if a value is out of its range."""
        values = {name: getattr(self, name) for name in (*SAMPLING, "temperature")}
        return SamplingParams(length=self.max_tokens, **values)


class TextRequest(RequestBody):
    """The body of `POST /v1/read_as`, `/v1/copied` and `/v1/lines`."""

    text: str
    model: str | None = Field(default=None, description="one of /v1/models; null: the first")


class NextWordsRequest(RequestBody):
    """The body of `POST /v1/next_words`."""

    prompt: str = ""
    k: int = Field(default=5, ge=1, le=50, description="number of words, at most")
    model: str | None = Field(default=None, description="one of /v1/models; null: the first")


_RETRY_LATER = {"Retry-After": "1"}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: _RETRY_LATER, 503: _RETRY_LATER}


def format_error(error: HTTPException) -> dict[str, Any]:
    status = error.status_code
    detail = {
        "message": str(error.detail),
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": getattr(error, "param", None),
        "code": getattr(error, "code", None),
    }
    return {"error": detail}


# A function in a value is called for its part.
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=lambda part: part())
_PARTS_PER_BLOCK = 4_000  # numbers, texts and punctuation marks; they take some 4 ms


def as_json(value: Any) -> bytes:
    """Return a value as JSON in ASCII, because lone surrogates cannot be encoded in UTF-8."""
    return _ENCODER.encode(value).encode("ascii")


def encode_in_blocks(value: Any) -> Generator[None, None, bytes]:
    """Return the same as `as_json`, in blocks of a few milliseconds."""
    parts, encoded = _ENCODER.iterencode(value), bytearray()
    while block := "".join(islice(parts, _PARTS_PER_BLOCK)):
        encoded += block.encode("ascii")
        yield
    return bytes(encoded)


class ASCIIJSONResponse(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return as_json(content)


def make_error_response(error: HTTPException) -> Response:
    """Return a response with the status and the text of an error."""
    headers = {**_HEADERS.get(error.status_code, {}), **(error.headers or {})}
    return ASCIIJSONResponse(format_error(error), error.status_code, headers)
