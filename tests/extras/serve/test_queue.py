"""Test the queue of the server: what it refuses, what it divides into blocks, who is first."""

from __future__ import annotations

import json
import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import BYTES, CORPUS, MODEL, request_of, serving_main, until

# Each look-up of a passage takes a millisecond, so a text of 100,000 characters takes 100 seconds.
SLOW_LOOK_UP = (
    "import time\n"
    "from charrnn.text.training_text import TrainingText\n"
    "TrainingText.__contains__ = lambda self, passage: time.sleep(0.001)"
)
LONG = {"text": "It was a dark and stormy night. " * 3_000}
SHORT = {"prompt": "A", "max_tokens": 20, "seed": 1}


def measure_completion(http: Any) -> float:
    """Return the seconds that a completion of 20 characters takes, after checking its text."""
    start = time.monotonic()
    answer = http.post("/v1/completions", json=SHORT).json()
    assert answer["choices"][0]["text"] == MODEL.generate(20, "A", seed=1, temperature=1)
    return time.monotonic() - start


def test_long_texts_delay_no_completion_and_end_with_their_clients(models: Path) -> None:
    pytest.importorskip("pydivsufsort")
    options = [f"corpus={models}/corpus.txt", "drain_seconds=1"]
    with (
        serving_main(models, *options, patch=SLOW_LOOK_UP) as (server, http),
        ExitStack() as stack,
    ):
        measure_completion(http)
        for _ in range(30):
            stack.enter_context(server.connect(request_of(LONG, "/v1/copied")))
        for _ in range(30):  # whose clients leave
            with server.connect(request_of(LONG, "/v1/copied")):
                pass
        time.sleep(0.5)  # until they have come
        assert min(measure_completion(http) for _ in range(3)) < 1
        stack.close()
        start = time.monotonic()
        assert http.post("/v1/copied", json={"text": "It was a dark and stormy"}).is_success
        assert time.monotonic() - start < 2
        stack.enter_context(server.connect(request_of(LONG, "/v1/copied")))
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 6
        assert len(server.lines) == 1, server.lines


def test_texts_and_completions_share_a_bounded_queue(models: Path) -> None:
    pytest.importorskip("pydivsufsort")
    options = [f"corpus={models}/corpus.txt", "streams=1", "max_queue=2", "drain_seconds=0"]
    with serving_main(models, *options, patch=SLOW_LOOK_UP) as (server, http):
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(server.connect(request_of(LONG, "/v1/copied")))

            def is_full() -> bool:
                return bool(http.post("/v1/read_as", json={"text": "a"}).status_code == 429)

            until(is_full)
            for path, body in {
                "/v1/completions": SHORT, "/v1/copied": LONG, "/v1/lines": LONG,
                "/v1/next_words": {},
            }.items():  # fmt: skip
                refused = http.post(path, json=body)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
                assert "too many requests are waiting" in refused.json()["error"]["message"]
            assert http.get("/v1/models").status_code == 200
        until(lambda: not is_full())
        measure_completion(http)


def test_a_short_completion_waits_for_none_of_many_long_ones(models: Path) -> None:
    options = ["streams=4", "max_length=1000000000", "max_seconds=1000", "drain_seconds=0"]
    endless = {"max_tokens": 1_000_000_000}
    with serving_main(models, *options) as (server, http), ExitStack() as stack:
        for n in (1, 4) * 10:
            stack.enter_context(server.connect(request_of({**endless, "n": n})))
        time.sleep(0.5)  # until they have come
        assert measure_completion(http) < 5


def test_a_prompt_of_many_unknown_characters_is_prepared_in_blocks(models: Path) -> None:
    with serving_main(models, "drain_seconds=0") as (server, http), ExitStack() as stack:
        measure_completion(http)
        unknown = "".join(map(chr, range(0x10000, 0x10000 + 100_000)))
        for path, body in {
            "/v1/completions": {"prompt": unknown, "echo": True, "logprobs": 0},
            "/v1/read_as": {"text": unknown},
        }.items():
            for _ in range(8):
                stack.enter_context(server.connect(request_of(body, path)))
        time.sleep(0.2)  # until they have come
        assert measure_completion(http) < 3


def test_blocks_read_a_prompt_as_the_sampler_reads_it_whole(http: Any) -> None:
    numbers = random.Random(2)
    for prompt in (
        "x" * 255 + "\"'“”" * 300, "say “hi” ‘it’ — …\n" * 60, "é" * 256 + "'",
        *("".join(numbers.choices("ab \"'“é…😀\n", k=1000)) for _ in range(4)),
    ):  # fmt: skip
        asked = {"prompt": prompt, "seed": 1, "echo": True, "logprobs": 0, "model": "main"}
        choice = http.post("/v1/completions", json=asked).json()["choices"][0]
        text = MODEL.generate(16, prompt, seed=1, temperature=1, unknown="replace")
        assert choice["text"] == prompt + text
        assert choice["logprobs"]["text_offset"][-17] < len(prompt)
        assert sorted(choice["logprobs"]["text_offset"]) == choice["logprobs"]["text_offset"]


def find_copied_plainly(text: str, model: Any) -> list[list[int]]:
    """Return the ranges of characters with a token in a passage of 20 that the corpus contains."""
    tokens = [model.vocabulary.as_tokens(character) for character in text]
    positions = [n for n, token in enumerate(tokens) for _ in token]
    passage, corpus = "".join(tokens), model.vocabulary.as_tokens(CORPUS)
    copied = {
        position
        for start in range(len(passage) - 19)
        if passage[start : start + 20] in corpus
        for position in positions[start : start + 20]
    }
    starts = sorted(n for n in copied if n - 1 not in copied)
    return [[n, next(m for m in range(n, len(text) + 1) if m not in copied)] for n in starts]


def test_copied_passages_are_those_of_a_plain_search(http: Any) -> None:
    pytest.importorskip("pydivsufsort")
    numbers = random.Random(3)
    for name, model in {"main": MODEL, "bytes": BYTES}.items():
        for _ in range(10):
            starts = [numbers.randrange(len(CORPUS)) for _ in range(30)]
            text = "".join(CORPUS[start : start + numbers.randint(10, 40)] for start in starts)
            answer = http.post("/v1/copied", json={"text": text, "model": name})
            assert json.loads(answer.content)["ranges"] == find_copied_plainly(text, model)


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


def test_next_words_delay_no_completion_and_end_with_their_clients(models: Path) -> None:
    slow = (
        "import time\n"
        "from charrnn.generation.engines import StepEngine\n"
        "step = StepEngine.step\n"
        "StepEngine.step = lambda *given: time.sleep(0.05) or step(*given)"
    )
    asked = request_of({"prompt": "The", "k": 50}, "/v1/next_words")
    options = ["streams=1", "max_queue=30", "drain_seconds=0"]
    with serving_main(models, *options, patch=slow) as (server, http), ExitStack() as stack:
        measure_completion(http)
        for _ in range(20):
            stack.enter_context(server.connect(asked))
        time.sleep(0.3)  # until they have come
        assert measure_completion(http) < 1.5
        stack.close()
        start = time.monotonic()
        assert http.post("/v1/next_words", json={"prompt": "The", "k": 1}).is_success
        assert time.monotonic() - start < 1.5
