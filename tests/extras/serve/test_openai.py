"""Test completions with OpenAI's client, and with clients that send anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.options.sampling import SamplingParams
from tests.extras.serve.servers import BYTES, MODEL, Server

openai = pytest.importorskip("openai", reason="needs OpenAI's client")


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_a_completion_is_the_models_text(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["main", "other", "bytes"]
    answer = client.completions.create(model="main", prompt="Hm: ", max_tokens=300, seed=7)
    (choice,) = answer.choices
    assert choice.text == MODEL.generate(300, "Hm: ", seed=7, temperature=1)
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert (answer.object, answer.model) == ("text_completion", "main")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 300)
    defaults = client.completions.create(model="main", prompt="A")
    assert len(defaults.choices[0].text) == 16
    seed = defaults.model_dump()["seed"]
    again = client.completions.create(model="main", prompt="A", seed=seed)
    assert again.choices[0].text == defaults.choices[0].text


def test_a_stream_says_the_same(client: Any) -> None:
    texts, finishes = ["", "", ""], list[str | None]([None, None, None])
    for event in client.completions.create(
        model="main", prompt="Hm: ", n=3, max_tokens=500, seed=5, stop=["q", "never"], stream=True,
        stream_options={"include_usage": True},
    ):  # fmt: skip
        usage = event.usage
        assert (usage is None) == bool(event.choices)  # the usage is in the last event only
        for choice in event.choices:
            texts[choice.index] += choice.text
            finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    expected = MODEL.generate(500, "Hm: ", num_samples=3, seed=5, until="q", temperature=1)
    assert texts == expected
    assert (usage.prompt_tokens, usage.completion_tokens) == (4, len("".join(texts)))
    assert finishes == ["stop" if len(text) < 500 else "length" for text in texts]


def test_a_model_of_bytes_answers_in_characters(client: Any) -> None:
    how: dict[str, Any] = {"model": "bytes", "prompt": "é", "max_tokens": 400, "seed": 1}
    data = BYTES.generate(400, "é", seed=1, temperature=1)
    text = data.encode("ascii", "surrogateescape").decode("utf-8", "replace")
    assert client.completions.create(**how).choices[0].text == text
    streamed = client.completions.create(stream=True, **how)
    assert "".join(choice.text for event in streamed for choice in event.choices) == text
    stopped = client.completions.create(stop="é", **how).choices[0]
    assert stopped.text == text.partition("é")[0]


HUGE = 10**400


def test_a_mistake_is_an_error_of_openais_client(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=r"n: .*integer"):
        client.completions.create(model="main", prompt="A", extra_body={"n": "2"})
    with pytest.raises(openai.NotFoundError, match=r"did you mean main\?"):
        client.completions.create(model="mian", prompt="A")
    with pytest.raises(openai.BadRequestError, match=r"logprobs=0: charrnn has no such option"):
        client.completions.create(model="main", prompt="A", logprobs=0)


# Whatever is sent, the answer is none of a fault of the server

FIELDS = [
    "model", "prompt", "max_tokens", "n", "stop", "echo", "logprobs", "stream", "stream_options",
    "best_of", "user", "other", "\ud800", *SamplingParams.__dataclass_fields__,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, 1, -1, 17, 2**63, HUGE, str(HUGE), 0.5, -0.5, 1e-300, 1e308, float("nan"),
    float("inf"), "", "a", "main", "é", "😀", "\ud800", "\x00", "x" * 200_000, [], [[]], [1, 2],
    ["a", "b"], [None], {}, {"a": 1}, {"a": "b"}, {"include_usage": True}, {"\ud800": HUGE},
]  # fmt: skip
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES), max_size=8).map(json.dumps),
    st.sampled_from(["", "[]", "null", '"a"', "[" * 50_000, "1" * 9_999, '{"n": 1', "\x00"]),
)
TYPES = st.sampled_from(["application/json", "text/plain", "application/json; charset=utf-16", ""])


@settings(derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(BODIES, TYPES)
def test_any_body_gets_an_answer(server: Server, http: Any, body: str, kind: str) -> None:
    headers = {"content-type": kind}
    answer = http.post("/v1/completions", content=body.encode(), headers=headers)
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type"}
