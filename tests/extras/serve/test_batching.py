"""Test that texts of a batch equal the texts of the sampler."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.extras.serve.servers import MODEL


def write_alone(asked: dict[str, Any], **how: Any) -> list[str]:
    given = {"temperature": 1.0, **asked}
    others = ("max_tokens", "prompt", "n", "stop", "logprobs")
    how |= {name: v for name, v in given.items() if name not in others and v is not None}
    texts = MODEL.generate(
        asked["max_tokens"], asked["prompt"], num_samples=asked["n"], until=asked.get("stop"), **how
    )
    return [texts] if isinstance(texts, str) else texts


def require_own_texts(http: Any) -> None:
    numbers = random.Random(1)
    requests: list[dict[str, Any]] = [
        {
            "prompt": "".join(numbers.choices("abc de.\n", k=numbers.choice([0, 1, 7, 300])))
            + numbers.choice(["", "   "]),
            "max_tokens": numbers.choice([0, 1, 30, 400]), "n": numbers.choice([1, 1, 3]),
            "seed": seed, "temperature": numbers.choice([0, 0.5, 1.0, 2.0]),
            "top_k": numbers.choice([None, 3]), "stop": numbers.choice([None, "e", "tt"]),
            "logprobs": numbers.choice([None, 2]), "ban": numbers.choice([None, "ab"]),
            "top_p": numbers.choice([None, 0.9]), "min_p": numbers.choice([0, 0.01]),
            "dry_multiplier": numbers.choice([0, 1.5]), "dry_allowed_length": 2, "dry_base": 1.5,
        }
        for seed in range(40)
    ]  # fmt: skip
    with ThreadPoolExecutor(12) as threads:
        answers = threads.map(lambda asked: http.post("/v1/completions", json=asked), requests)
        for asked, answer in zip(requests, answers, strict=True):
            texts = [choice["text"] for choice in answer.json()["choices"]]
            assert texts == write_alone(asked)


def test_every_request_of_a_batch_gets_its_text(http: Any) -> None:
    require_own_texts(http)


def test_a_prompt_that_shares_its_beginning_gives_the_same_text(http: Any) -> None:
    draft = "the same beginning, " * 30
    for prompt in (draft, draft, draft + "and more", draft[:400] + "X" + draft[401:], draft[:64]):
        asked = {"prompt": prompt, "max_tokens": 30, "n": 1, "temperature": 0}
        answer = http.post("/v1/completions", json=asked).json()
        assert [choice["text"] for choice in answer["choices"]] == write_alone(asked)
