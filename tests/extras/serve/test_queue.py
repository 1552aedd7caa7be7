"""Test that texts of a batch equal those of the sampler, and that long requests delay no other."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import MODEL, request_of, serving_main

# This slows down the reading of a prompt, which would delay others for minutes.
SLOW_READING = (
    "import time\n"
    "from charrnn.generation.engines import Engine\n"
    "advance = Engine.advance\n"
    "Engine.advance = (\n"
    "    lambda self, ids, state: time.sleep(0.004 * ids.size) or advance(self, ids, state)\n"
    ")"
)
ENDLESS = {"max_tokens": 10**9, "n": 4, "stream": True, "logprobs": 20}  # which nobody reads
# a patch, how many ask for a completion with this body, and the seconds that another may take
LOADS: dict[str, tuple[str, int, dict[str, Any], float]] = {
    "endless completions": ("", 20, ENDLESS, 5),
    "long prompts": (SLOW_READING, 8, {"prompt": "a" * 50_000}, 1),
}
SHORT = {"prompt": "A", "max_tokens": 20, "seed": 1}


def measure_completion(http: Any) -> float:
    """Return the seconds that a completion of 20 characters takes, after checking its text."""
    start = time.monotonic()
    answer = http.post("/v1/completions", json=SHORT).json()
    assert answer["choices"][0]["text"] == MODEL.generate(20, "A", seed=1, temperature=1)
    return time.monotonic() - start


@pytest.mark.parametrize("name", LOADS)
def test_no_load_delays_a_short_completion_or_the_end_of_the_server(
    models: Path, name: str
) -> None:
    patch, count, body, seconds = LOADS[name]
    limits = ["streams=4", "max_queue=99", "max_length=1000000000", "max_seconds=1000"]
    options = [*limits, "drain_seconds=1"]
    with serving_main(models, *options, patch=patch) as (server, http), ExitStack() as stack:
        measure_completion(http)
        for _ in range(count):
            stack.enter_context(server.connect(request_of(body)))
        time.sleep(0.5)  # until they have come
        assert min(measure_completion(http) for _ in range(2)) < seconds
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 6
        assert len(server.lines) == 1, server.lines


def write_alone(asked: dict[str, Any], **how: Any) -> list[str]:
    given = {"temperature": 1.0, **asked}
    others = ("max_tokens", "prompt", "n", "stop", "logprobs")
    how |= {name: v for name, v in given.items() if name not in others and v is not None}
    texts = MODEL.generate(
        asked["max_tokens"], asked["prompt"], num_samples=asked["n"], until=asked.get("stop"), **how
    )
    return [texts] if isinstance(texts, str) else texts


def test_every_request_of_a_batch_gets_its_text(http: Any) -> None:
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


def test_blocks_read_a_prompt_as_the_sampler_reads_it_whole(http: Any) -> None:
    numbers = random.Random(2)
    for prompt in (
        "\u202e😀a\x00b", "x" * 255 + "\"'“”" * 300, "say “hi” ‘it’ — …\n" * 60, "é" * 256 + "'",
        *("".join(numbers.choices("ab \"'“é…😀\n", k=1000)) for _ in range(4)),
    ):  # fmt: skip
        asked = {"prompt": prompt, "seed": 1, "echo": True, "logprobs": 0, "model": "main"}
        choice = http.post("/v1/completions", json=asked).json()["choices"][0]
        text = MODEL.generate(16, prompt, seed=1, temperature=1, unknown="replace")
        assert choice["text"] == prompt + text
        assert choice["logprobs"]["text_offset"][-17] < len(prompt)
        assert sorted(choice["logprobs"]["text_offset"]) == choice["logprobs"]["text_offset"]
