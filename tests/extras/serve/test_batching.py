"""What is written together is what the sampler writes alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.model import Model
from tests.extras.serve.servers import MODEL, serving
from tests.generation.models import trained_model


def expected(asked: dict[str, Any], model: Model = MODEL, **how: Any) -> list[str]:
    given = {"temperature": 1.0, **asked}
    names = ("seed", "temperature", "top_k", "ban")
    how |= {name: given[name] for name in names if given.get(name) is not None}
    texts = model.generate(
        asked["max_tokens"], asked["prompt"], num_samples=asked["n"], until=asked.get("stop"), **how
    )
    return [texts] if isinstance(texts, str) else texts


@pytest.mark.parametrize(
    ("engine", "precision", "count"), [("numpy", 32, 40), ("numba", 32, 40), ("numba", 8, 40)]
)
def test_whatever_comes_together_each_gets_its_own_text(
    models: Path, engine: str, precision: int, count: int
) -> None:
    import httpx

    if engine == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    numbers = random.Random(1)
    requests: list[dict[str, Any]] = [
        {
            "prompt": "".join(numbers.choices("abc de.\n", k=numbers.choice([0, 1, 7, 300]))),
            "max_tokens": numbers.choice([0, 1, 30, 400]), "n": numbers.choice([1, 1, 3]),
            "seed": seed, "temperature": numbers.choice([0, 0.5, 1.0, 2.0]),
            "top_k": numbers.choice([None, 3]), "stop": numbers.choice([None, "e", "tt"]),
            "logprobs": numbers.choice([None, 2]),
        }
        for seed in range(count)
    ]  # fmt: skip
    options = [f"precision={precision}", f"engine={engine}", "streams=8"]
    with (
        serving(f"checkpoint={models}/main.safetensors", *options) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
        ThreadPoolExecutor(12) as threads,
    ):
        answers = threads.map(lambda asked: http.post("/v1/completions", json=asked), requests)
        for asked, answer in zip(requests, answers, strict=True):
            texts = [choice["text"] for choice in answer.json()["choices"]]
            assert texts == expected(
                asked, precision=precision, engine="numpy" if precision == 32 else "numba"
            )
        assert server.stop() == 0


def test_a_first_character_is_drawn_evenly_where_nothing_stands_before_it(
    tmp_path: Path, models: Path
) -> None:
    import httpx

    from charrnn.text.vocabulary import Vocabulary

    model = Model(trained_model(vocabulary=Vocabulary(list("abc"))))
    model.save(tmp_path / "abc.safetensors")
    asked = {"prompt": "", "max_tokens": 20, "n": 3, "seed": 5, "ban": "b", "logprobs": 1}
    with serving(f"checkpoint={tmp_path}/abc.safetensors") as server:
        choices = httpx.post(f"{server.url}/v1/completions", json=asked).json()["choices"]
    assert [choice["text"] for choice in choices] == expected(asked, model)
    assert choices[0]["logprobs"]["token_logprobs"][0] == pytest.approx(-1.0986123)


def test_a_prompt_that_shares_its_beginning_gives_the_same_text(http: Any) -> None:
    draft = "the same beginning, " * 30
    for prompt in (draft, draft, draft + "and more", draft[:400] + "X" + draft[401:], draft[:64]):
        asked = {"prompt": prompt, "max_tokens": 30, "n": 1, "temperature": 0}
        answer = http.post("/v1/completions", json=asked).json()
        assert [choice["text"] for choice in answer["choices"]] == expected(asked)


@pytest.fixture
def faulty(models: Path, tmp_path: Path) -> Iterator[tuple[Any, Model]]:
    """A server with a model that has no numbers for what follows a $, and that model."""
    import httpx

    trained = trained_model(num_layers=1)
    weights = {name: np.array(weight) for name, weight in trained.weights.items()}
    dollar = trained.vocabulary.encode("$")[0]
    # eight units that are 0 until a $ comes, and then too large for the decoder
    weights["embedding.weight"][:, 0] = np.eye(65)[dollar]
    units = slice(48, 56)  # of the cell's new values
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        weights[f"recurrent.0.{name}_l0"][units] = 0
    weights["recurrent.0.weight_ih_l0"][units, 0] = 10
    weights["decoder.weight"][:, :8] = 3e38
    model = Model(replace(trained, weights=weights))
    model.save(tmp_path / "faulty.safetensors")
    with (
        serving(f"checkpoint={tmp_path}/faulty.safetensors") as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        yield http, model


def test_a_fault_ends_its_own_request_alone(faulty: tuple[Any, Model]) -> None:
    http, model = faulty
    good = {"max_tokens": 3000, "ban": "$", "n": 1, "prompt": "Hm"}
    requests = [{**good, "seed": seed} for seed in range(6)]
    bad = {**good, "prompt": "costs $"}
    with ThreadPoolExecutor(12) as threads:
        whole = [threads.submit(http.post, "/v1/completions", json=asked) for asked in requests]
        faults = [threads.submit(http.post, "/v1/completions", json=bad) for _ in range(3)]
        for fault in faults:
            assert fault.result().status_code == 500
            assert "not numbers" in fault.result().json()["error"]["message"]
        for asked, answer in zip(requests, whole, strict=True):
            assert answer.result().status_code == 200
            texts = [choice["text"] for choice in answer.result().json()["choices"]]
            assert texts == expected(asked, model, engine="numpy")
    streamed = http.post("/v1/completions", json={**bad, "stream": True})
    assert streamed.status_code == 200
    assert "server_error" in streamed.text
    assert "[DONE]" not in streamed.text
