"""Test the queue of the server: what it refuses, what it divides into blocks, who is first."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import MODEL, request_of, serving_main

# These slow down what a load asks for, so that it would delay others for minutes.
SLOW_LOOK_UP = (
    "import time\n"
    "from charrnn.text.training_text import TrainingText\n"
    "TrainingText.__contains__ = lambda self, passage: time.sleep(0.001)"
)
SLOW_READING = (
    "import time\n"
    "from charrnn.generation.engines import Engine\n"
    "advance = Engine.advance\n"
    "Engine.advance = (\n"
    "    lambda self, ids, state: time.sleep(0.004 * ids.size) or advance(self, ids, state)\n"
    ")"
)
SLOW_STEPS = (
    "import time\n"
    "from charrnn.generation.engines import Engine\n"
    "step = Engine.step\n"
    "Engine.step = lambda *given: time.sleep(0.05) or step(*given)"
)
LONG = {"text": "It was a dark and stormy night. " * 3_000}
UNKNOWN = "".join(map(chr, range(0x10000, 0x10000 + 100_000)))
UNREAD = {"prompt": UNKNOWN, "echo": True, "logprobs": 0}
ENDLESS = {"max_tokens": 10**9, "n": 4, "stream": True, "logprobs": 20}  # which nobody reads
# a patch, how many ask for each of the bodies, and the seconds that another request may take
LOADS: dict[str, tuple[str, int, dict[str, dict[str, Any]], float]] = {
    "long texts": (SLOW_LOOK_UP, 30, {"/v1/copied": LONG}, 1),
    "endless completions": ("", 20, {"/v1/completions": ENDLESS}, 5),
    "unknown characters": ("", 8, {"/v1/completions": UNREAD, "/v1/read_as": {"text": UNKNOWN}}, 3),
    "long prompts": (SLOW_READING, 8, {"/v1/completions": {"prompt": "a" * 50_000}}, 1),
    "next words": (SLOW_STEPS, 20, {"/v1/next_words": {"prompt": "The", "k": 50}}, 1.5),
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
    pytest.importorskip("pydivsufsort")
    patch, count, bodies, seconds = LOADS[name]
    limits = ["streams=4", "max_queue=99", "max_length=1000000000", "max_seconds=1000"]
    options = [*limits, "drain_seconds=1", f"corpus={models}/corpus.txt"]
    with serving_main(models, *options, patch=patch) as (server, http), ExitStack() as stack:
        measure_completion(http)
        for path, body in [*bodies.items()] * count:
            stack.enter_context(server.connect(request_of(body, path)))
        time.sleep(0.5)  # until they have come
        assert min(measure_completion(http) for _ in range(2)) < seconds
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 6
        assert len(server.lines) == 1, server.lines


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


def test_next_words_are_those_of_the_model(http: Any) -> None:
    for prompt in ("", "The", "The ", "It was a dark and stormy night; " * 40, "café"):
        answer = http.post("/v1/next_words", json={"prompt": prompt, "k": 8}).json()
        expected = MODEL.next_words(prompt.replace("é", "e"), 8)
        assert [word["text"] for word in answer["words"]] == [word for word, _ in expected]
        shares = [word["probability"] for word in answer["words"]]
        assert shares == pytest.approx([share for _, share in expected], rel=1e-4)
    assert http.post("/v1/next_words", json={"prompt": "é", "model": "bytes"}).json()["words"]
    for name, value in (("prompt", "x" * 100_001), ("k", 51), ("k", 0)):
        refused = http.post("/v1/next_words", json={name: value})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
