"""The body of a request for completions: OpenAI's fields, and charrnn's sampling parameters.

https://platform.openai.com/docs/api-reference/completions, as far as it applies to charrnn. A
token is a character, or a byte if the model's vocabulary has bytes.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from charrnn.errors import InputError
from charrnn.options.ranges import get_annotations, require
from charrnn.options.sampling import SamplingParams

# OpenAI's fields that have no effect here
_IGNORED = (
    *("user", "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store"),
)
# OpenAI's fields that charrnn lacks, with the value that has no effect. Any other value is refused,
# so that no client expects an effect.
_NEUTRAL: dict[str, Any] = {
    "best_of": 1, "frequency_penalty": 0, "logit_bias": {}, "presence_penalty": 0, "suffix": "",
}  # fmt: skip
# sampling parameters that have another name in OpenAI's API, or that a request cannot set
_EXCLUDED = ("length", "temperature", "start_text", "unknown", "num_samples", "until", "device")
_SAMPLING: dict[str, Any] = {
    name: (hint, getattr(SamplingParams, name))
    for name, hint in get_annotations(SamplingParams).items()
    if name not in _EXCLUDED
}
_MAX_SCORED = 50_000  # new characters of a response with log-probabilities


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
_SamplingBody: Any = create_model("_SamplingBody", __base__=RequestBody, **_SAMPLING)


class CompletionRequest(_SamplingBody):
    """The body of `POST /v1/completions`."""

    model: str | None = None  # one of /v1/models; None: the first
    prompt: Annotated[str, _unwrap_single, Field(max_length=100_000)] = ""
    max_tokens: int = Field(default=16, ge=0, le=10_000)
    temperature: float = 1.0
    n: int = Field(default=1, ge=1, le=64)
    stop: Annotated[list[_Stop], _as_list] = Field(default=[], max_length=16)
    echo: bool = False
    logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool = False
    stream_options: dict[str, bool | None] = Field(default={})

    def to_sampling_params(self, seed: int) -> SamplingParams:
        """Return the sampling parameters. Raise InputError if a value is out of its range."""
        if self.logprobs is not None:
            require(not self.echo, "echo", True, "gives no logprobs of a prompt; leave one out")
            if self.n * self.max_tokens > _MAX_SCORED:
                raise InputError(f"logprobs: are of at most {_MAX_SCORED:,} new characters")
        values = {name: getattr(self, name) for name in (*_SAMPLING, "temperature")}
        return SamplingParams(
            **{**values, "seed": seed},
            length=self.max_tokens,
            num_samples=self.n,
            start_text=self.prompt,
            unknown="replace",
        )
