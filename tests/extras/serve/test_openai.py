"""What OpenAI's own client gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from charrnn.model import Ensemble
from charrnn.models.ensemble import TrainedEnsemble
from charrnn.text.primer import FACT
from tests.extras.serve.servers import BYTES, MODEL, OTHER, PRIMED, Server

if TYPE_CHECKING:
    import openai


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["main", "bytes", "both"]
    assert client.models.retrieve("bytes").owned_by == "charrnn"


def test_a_completion_is_the_models_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="main", prompt="Hm: ", max_tokens=300, seed=7)
    (choice,) = answer.choices
    assert choice.text == MODEL.generate(300, "Hm: ", seed=7, temperature=1, engine="numpy")
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert answer.object == "text_completion"
    assert answer.model == "main"
    assert answer.usage is not None
    assert answer.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 4, "completion_tokens": 300, "total_tokens": 304,
    }  # fmt: skip


def test_every_option_does_as_the_sampler_does(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="main", prompt=["A", "", "b c"], n=2, max_tokens=100, seed=3, temperature=1.5,
        top_p=0.9, stop=["zz", "e"], echo=True, extra_body={"min_p": 0.01, "top_k": 20, "ban": "t"},
    )  # fmt: skip
    expected = [
        prompt + text
        for prompt in ("A", "", "b c")
        for text in MODEL.generate(
            100, prompt, num_samples=2, seed=3, temperature=1.5, until="e", top_p=0.9, min_p=0.01,
            top_k=20, ban="t", engine="numpy",
        )
    ]  # fmt: skip
    assert [choice.text for choice in answer.choices] == expected
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert "stop" in {choice.finish_reason for choice in answer.choices}


def test_the_defaults_are_openais(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="main", prompt="A")
    assert len(answer.choices[0].text) == 16
    seed = answer.model_dump()["seed"]
    again = client.completions.create(model="main", prompt="A", seed=seed)
    assert again.choices[0].text == answer.choices[0].text


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    texts, finishes, usage = ["", "", ""], [None, None, None], None
    for event in client.completions.create(
        model="main", prompt="Hm: ", n=3, max_tokens=500, seed=5, stop="q", stream=True,
        stream_options={"include_usage": True}, logprobs=2,
    ):  # fmt: skip
        usage = event.usage or usage
        for choice in event.choices:
            texts[choice.index] += choice.text
            assert choice.logprobs is not None
            assert choice.logprobs.tokens == list(choice.text)
            finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    expected = MODEL.generate(
        500, "Hm: ", num_samples=3, seed=5, until="q", temperature=1, engine="numpy"
    )
    assert texts == expected
    assert finishes == ["stop" if len(text) < 500 else "length" for text in texts]
    assert usage is not None
    assert usage.completion_tokens == sum(map(len, texts))


def logprobs_of(text: str) -> list[float]:
    """Of all characters, after the primer, from the model's logits."""
    primer = PRIMED[FACT]
    scores = MODEL.logits(primer + text)[len(primer) - 1 : -1].astype(np.float64)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    ids = MODEL.vocabulary.encode(text)
    return [row[id_] for row, id_ in zip(scores, ids, strict=True)]


def test_logprobs_are_the_models(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="main", prompt="Hm: ", max_tokens=50, seed=5, logprobs=2, echo=True
    )
    text, found = answer.choices[0].text, answer.choices[0].logprobs
    assert found is not None
    assert found.tokens == list(text)
    assert found.text_offset == list(range(54))
    values = found.token_logprobs
    assert values is not None
    np.testing.assert_allclose(values, logprobs_of(text), atol=1e-4)
    assert found.top_logprobs is not None
    assert all(row is not None and len(row) == 2 for row in found.top_logprobs)
    plain = client.completions.create(
        model="main", prompt="Hm: ", max_tokens=50, seed=5, logprobs=0
    )
    assert plain.choices[0].logprobs is not None
    assert plain.choices[0].logprobs.text_offset == list(range(4, 54))
    # read in pieces of other lengths, which rounds otherwise
    assert plain.choices[0].logprobs.token_logprobs == pytest.approx(values[4:], abs=1e-5)


def test_the_places_of_characters_are_those_of_the_prompt_as_it_was_sent(
    client: openai.OpenAI,
) -> None:
    prompt = "😀Hm… é: "  # read as "Hm... e: "
    answer = client.completions.create(
        model="main", prompt=prompt, max_tokens=2, seed=5, logprobs=0, echo=True
    )
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.tokens == list("Hm... e: " + answer.choices[0].text[len(prompt) :])
    assert found.text_offset == [1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9]


def test_a_text_is_scored_and_nothing_written(client: openai.OpenAI) -> None:
    text = "Hm: and more, I see."
    answer = client.completions.create(
        model="main", prompt=text, max_tokens=0, echo=True, logprobs=0
    )
    assert answer.choices[0].text == text
    assert answer.choices[0].logprobs is not None
    values = answer.choices[0].logprobs.token_logprobs
    assert values is not None
    np.testing.assert_allclose(values, logprobs_of(text), atol=1e-4)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


def test_a_model_of_bytes_answers_in_characters(client: openai.OpenAI) -> None:
    expected = BYTES.generate(400, "é", seed=1, temperature=1, engine="numpy")
    data = expected.encode("ascii", "surrogateescape")
    answer = client.completions.create(
        model="bytes", prompt="é", max_tokens=400, seed=1, logprobs=0
    )
    assert answer.choices[0].text == data.decode("utf-8", "replace")
    found = answer.choices[0].logprobs
    assert found is not None
    assert "bytes:\\xc3" in (found.tokens or [])
    streamed = client.completions.create(
        model="bytes", prompt="é", max_tokens=400, seed=1, stream=True
    )
    text = "".join(choice.text for event in streamed for choice in event.choices)
    assert text == answer.choices[0].text
    stopped = client.completions.create(
        model="bytes", prompt="é", max_tokens=400, seed=1, stop="é", temperature=1.0
    )
    assert stopped.choices[0].text == data.partition("é".encode())[0].decode("utf-8", "replace")


def test_an_ensemble_is_served_as_one(client: openai.OpenAI) -> None:
    both = Ensemble(TrainedEnsemble((MODEL.trained, OTHER.trained)))
    answer = client.completions.create(model="both", prompt="A", max_tokens=50, seed=1)
    assert answer.choices[0].text == both.generate(50, "A", seed=1, temperature=1)


def test_a_text_from_nothing_has_a_first_character_without_a_score(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="bytes", prompt="a a", echo=True, logprobs=0)
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.token_logprobs is not None
    assert [value is None for value in found.token_logprobs] == [True] + [False] * 18


def test_mistakes_are_told_as_openai_tells_them(client: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="other", prompt="A")
    assert missing.value.code == "model_not_found"
    assert missing.value.param == "model"
    for param, wrong in {
        "prompt": {"prompt": []},
        "temperature": {"temperature": -1},
        "top_p": {"top_p": 0},
        "n": {"n": 65},
        "max_tokens": {"max_tokens": 10_001},
        "stop": {"stop": [""]},
        "logprobs": {"logprobs": 21},
        "logprobs ": {"logprobs": 20, "max_tokens": 10_000, "n": 3},
        "best_of": {"best_of": 3},
        "suffix": {"suffix": "and then"},
        "frequency_penalty": {"frequency_penalty": 1},
        "ban": {"extra_body": {"ban": "".join(MODEL.vocabulary.characters)}},
        "seed": {"seed": -1},
        "logit_bias": {"logit_bias": {"": 1}},
    }.items():
        with pytest.raises(openai.BadRequestError) as error:
            client.completions.create(**{"model": "main", "prompt": "A", **wrong})  # type: ignore[call-overload]
        param = param.strip()
        assert error.value.param == param
        assert error.value.type == "invalid_request_error"
        assert param in error.value.message
    harmless = {"suffix": "", "frequency_penalty": 0, "best_of": 1, "logit_bias": {}, "user": "me"}
    client.completions.create(model="main", prompt="A", **harmless)  # type: ignore[arg-type]
