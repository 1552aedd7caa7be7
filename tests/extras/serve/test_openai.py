"""Test the server with OpenAI's clients, and with clients that send anything."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.options.sampling import SamplingParams
from charrnn.text.prompt import PRIMER_FACT
from tests.extras.serve.servers import BYTES, MODEL, PRIMED, Server

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_the_models_are_listed(client: Any) -> None:
    models = list(client.models.list())
    assert [model.id for model in models] == ["main", "bytes", "other"]
    assert [model.id for model in models if model.is_list] == ["bytes"]
    assert [model.id for model in models if model.is_code] == ["other"]
    assert client.models.retrieve("bytes").owned_by == "charrnn"


def test_a_completion_is_the_models_text(client: Any) -> None:
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


def test_a_plain_completion_is_the_networks_text(client: Any) -> None:
    asked: dict[str, Any] = {"max_tokens": 200, "seed": 7, "temperature": 0.5}
    expected = MODEL.generate(200, "Hm: ", seed=7, temperature=0.5, plain=True)
    assert expected != MODEL.generate(200, "Hm: ", seed=7, temperature=0.5)
    for _ in range(2):  # The second one finds the network ready.
        answer = client.completions.create(
            model="main", prompt="Hm: ", extra_body={"plain": True}, **asked
        )
        assert answer.choices[0].text == expected


def test_a_stream_says_the_same(client: Any) -> None:
    texts, finishes = ["", "", ""], list[str | None]([None, None, None])
    for event in client.completions.create(
        model="main", prompt="Hm: ", n=3, max_tokens=500, seed=5, stop="q", stream=True,
        stream_options={"include_usage": True}, logprobs=2,
    ):  # fmt: skip
        usage = event.usage
        assert (usage is None) == bool(event.choices)  # the usage is in the last event only
        for choice in event.choices:
            texts[choice.index] += choice.text
            assert choice.logprobs.tokens == list(choice.text)
            finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    expected = MODEL.generate(500, "Hm: ", num_samples=3, seed=5, until="q", temperature=1)
    assert texts == expected
    assert (usage.prompt_tokens, usage.completion_tokens) == (4, len("".join(texts)))
    assert finishes == ["stop" if len(text) < 500 else "length" for text in texts]


def scores_of(text: str) -> list[list[float]]:
    """Compute the log-probabilities in each character's place, after the primer."""
    primer = PRIMED[PRIMER_FACT]
    scores = MODEL.logits(primer + text)[len(primer) - 1 : -1].astype(np.float64)
    return (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).tolist()


def test_logprobs_are_the_models(client: Any) -> None:
    prompt = "😀Hm… é: " + "and more " * 20  # read as "Hm... e: "
    how: dict[str, Any] = {"max_tokens": 50, "seed": 5, "stop": "e.", "model": "main"}
    answer = client.completions.create(prompt=prompt, logprobs=2, echo=True, **how)
    found, new = answer.choices[0].logprobs, answer.choices[0].text.removeprefix(prompt)
    read = "Hm... e: " + "and more " * 20 + new
    assert found.tokens == list(read)
    places = [1, 2, 3, 3, 3, *range(4, len(prompt) + len(new))]
    assert found.text_offset == places
    scores, ids = scores_of(read), MODEL.vocabulary.encode(read)
    values = [row[id_] for row, id_ in zip(scores, ids, strict=True)]
    np.testing.assert_allclose(found.token_logprobs, values, atol=1e-4)
    for row, top in zip(scores, found.top_logprobs, strict=True):
        assert sorted(top.values()) == pytest.approx(sorted(row)[-2:], abs=1e-4)
    alone = client.completions.create(prompt=prompt, logprobs=0, **how).choices[0].logprobs
    assert alone.text_offset == places[-len(new) :]
    # read in pieces of other lengths, which rounds otherwise
    assert alone.token_logprobs == pytest.approx(values[-len(new) :], abs=1e-4)


def test_a_model_of_bytes_answers_in_characters(client: Any) -> None:
    how: dict[str, Any] = {"model": "bytes", "prompt": "é", "max_tokens": 400, "seed": 1}
    data = BYTES.generate(400, "é", seed=1, temperature=1)
    text = data.encode("ascii", "surrogateescape").decode("utf-8", "replace")
    answer = client.completions.create(logprobs=0, echo=True, **how).choices[0]
    assert answer.text == "é" + text
    assert answer.logprobs.tokens[:2] == ["bytes:\\xc3", "bytes:\\xa9"]
    assert answer.logprobs.text_offset[:2] == [0, 0]
    assert [v is None for v in answer.logprobs.token_logprobs][:3] == [True, False, False]
    streamed = client.completions.create(stream=True, **how)
    assert "".join(choice.text for event in streamed for choice in event.choices) == text
    stopped = client.completions.create(stop="é", **how).choices[0]
    assert stopped.text == text.partition("é")[0]


HUGE = 10**400


@pytest.mark.parametrize(
    ("param", "wrong"),
    [
        ("prompt", {"prompt": ["a", "b"]}), ("n", {"n": 65}), ("n", {"n": "2"}),
        ("seed", {"seed": HUGE}), ("ban", {"ban": "".join(MODEL.vocabulary.characters)}),
        ("logprobs", {"logprobs": 20, "max_tokens": 9999, "n": 3}),
        ("logit_bias", {"logit_bias": {"50256": -100}}), ("temprature", {"temprature": 1}),
        ("stream_options", {"stream_options": {"include_usage": True}}),
    ],
)  # fmt: skip
def test_mistakes_are_told_as_openai_tells_them(client: Any, param: str, wrong: Any) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="main", prompt="A", extra_body=wrong)
    assert (error.value.param, error.value.type) == (param, "invalid_request_error")
    assert param in error.value.message


def test_fields_without_effect_are_accepted(client: Any) -> None:
    harmless = {
        "suffix": "", "frequency_penalty": 0, "best_of": 1, "logit_bias": {}, "user": "me",
        "metadata": {"a": "b"}, "store": True, "seed": None, "stop": None, "logprobs": None,
    }  # fmt: skip
    client.completions.create(model="main", prompt="A", extra_body=harmless)


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
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
