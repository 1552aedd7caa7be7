"""Whatever is sent, the answer is none of a fault of the server."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.extras.serve.servers import Server

FIELDS = (
    "model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "min_p", "ban", "n", "seed",
    "stop", "echo", "logprobs", "stream", "stream_options", "user", "suffix", "best_of",
    "presence_penalty", "frequency_penalty", "logit_bias", "include_stop_str_in_output", "other",
)  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 5, 17, 10**9, 2**63, -(2**63), 10**400, 0.5, -0.5, 1e-300,
    1e-6, 1e308, float("nan"), float("inf"), "", "a", "Hm: ", "main", "bytes", "é", "😀", "\ud800",
    "\x00", "\u202e", "1", "x" * 200_000, [], [[]], [1, 2], ["a", "b"], ["a"] * 70, [None], {},
    {"a": 1}, {"include_usage": True}, {"50256": -100}, "\n" * 3, ["e", " "],
]  # fmt: skip
LIKELY: dict[str, list[Any]] = {
    "model": ["main", "bytes"], "prompt": ["Hm: ", "a", ["a", "a\n"], ""], "max_tokens": [0, 3, 40],
    "temperature": [0, 1e-6, 1, 5], "stream": [True, False], "logprobs": [0, 3],
}  # fmt: skip
TYPES = ["application/json"] * 6 + ["text/plain", "application/json; charset=utf-16", "", "x"]


def body(numbers: random.Random) -> bytes:
    """A request that is wrong in one way or in many, or not at all."""
    asked = {
        name: numbers.choice(VALUES if numbers.random() < 0.3 else LIKELY.get(name, VALUES))
        for name in numbers.sample(FIELDS, numbers.randint(0, 8))
    }
    asked.setdefault("max_tokens", 5)
    data = bytearray(json.dumps(asked).encode())
    kind = numbers.random()
    if kind < 0.1:
        for _ in range(numbers.randint(1, 5)):
            data[numbers.randrange(len(data))] = numbers.randrange(256)
    elif kind < 0.15:
        del data[numbers.randrange(len(data)) :]
    elif kind < 0.2:
        data = bytearray(numbers.choice([b"", b"[]", b"null", b'"a"', b"[" * 50_000, b"1" * 9_999]))
    elif kind < 0.21:
        data = bytearray(b'{"prompt": "' + b"a" * 3_000_000 + b'"}')
    return bytes(data)


def send(server: Server, count: int, seed: int) -> dict[int, int]:
    """Send so many; how often each status came."""
    import httpx

    numbers, statuses = random.Random(seed), dict[int, int]()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for _ in range(count):
            if numbers.random() < 0.15:
                query = {
                    name: str(numbers.choice(VALUES))[:500].encode("utf-8", "replace").decode()
                    for name in numbers.sample(["start_text", "n", "length", "seed", "model"], 2)
                }
                answer = http.get("/generate", params=query)
            else:
                headers = {"content-type": numbers.choice(TYPES)}
                answer = http.post("/v1/completions", content=body(numbers), headers=headers)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code >= 400:
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert http.get("/health").status_code == 200
    return statuses


def test_some_hundred_requests(server: Server) -> None:
    statuses = send(server, 300, seed=0)
    assert set(statuses) <= {200, 400, 404, 413}
    assert statuses[200] > 20


@pytest.mark.slow
def test_two_thousand_requests(server: Server) -> None:
    assert set(send(server, 2000, seed=1)) <= {200, 400, 404, 413}


@pytest.mark.slow
def test_schemathesis_finds_no_fault(server: Server) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    hypothesis = pytest.importorskip("hypothesis")
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")

    for operation in schema.get_all_operations():
        case_of = operation.ok().as_strategy()

        @hypothesis.given(case=case_of)
        @hypothesis.settings(
            max_examples=100, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        def call(case: Any) -> None:
            assert case.call().status_code < 500

        call()
