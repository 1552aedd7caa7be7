"""A server that speaks to the page as `charrnn serve` does, and writes what a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "charrnn" / "extras" / "page" / "site"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass
class FakeServer:
    """Hold the answers of the server, which a test may change, and its requests."""

    texts: list[str] = field(default_factory=lambda: [" first words.", " second one.", " a third!"])
    logprobs: tuple[float, ...] = (-0.1, -1.0, -2.0, -3.5, -5.0, -8.0)  # in turn
    delay: float = 0.0  # seconds between characters
    models: tuple[str, ...] = ("verse",)
    lists: tuple[str, ...] = ()  # the models that learnt from lists
    knows_words: bool = True  # whether a choice of invented words is offered
    copied: str = "copied from the training text"  # as it tells of its first model
    likeliest: dict[str, float] = field(default_factory=lambda: {"e": -0.5, " ": -1.5, "a": -3.0})
    words: tuple[tuple[str, float], ...] = ((" second", 0.6), (",", 0.2), (" sad", 0.05))
    read_as: dict[str, str | None] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=lambda: {"temperature": 0.8, "min_p": 0.07})
    lines: tuple[str, ...] | None = None  # of the training text; None: it cannot tell
    score_of: Callable[[str], float] | None = None  # log-probability of each character of a prompt
    refusal: tuple[int, str] | None = None  # status and message, of the next completions
    asked: list[dict[str, Any]] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)  # prompts whose next words were asked for
    dropped: int = 0  # completions that the page went away from
    address: str = ""


@contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    """Answer requests on a free port of this machine until the block ends."""
    handler = partial(_Handler, server, directory=str(PAGE))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    server.address = f"http://127.0.0.1:{httpd.server_port}/"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def make_choice(text: str, places: list[int], logprobs: list[float | None]) -> dict[str, Any]:
    return {"text": text, "logprobs": {"text_offset": places, "token_logprobs": logprobs}}


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, fake: FakeServer, *arguments: Any, **options: Any) -> None:
        self.fake = fake
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self.path = self.path.removeprefix("/page")
            super().do_GET()
        else:
            about = {"knows_words": self.fake.knows_words}
            data = [{"id": m, "is_list": m in self.fake.lists, **about} for m in self.fake.models]
            self._answer({"data": data, "sampling": self.fake.sampling})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/copied":
            if body["model"] == self.fake.models[0]:
                start, length = body["text"].find(self.fake.copied), len(self.fake.copied)
                self._answer({"ranges": [] if start < 0 else [[start, start + length]]})
            else:
                self._refuse(501, "there is no training text of this model")
        elif self.path == "/v1/lines" and self.fake.lines is not None:
            each = enumerate(body["text"].split("\n"))
            self._answer({"lines": [number for number, line in each if line in self.fake.lines]})
        elif self.path == "/v1/read_as":
            self._answer({"read_as": self.fake.read_as})
        elif self.path == "/v1/next_words":
            self.fake.looked_at.append(body["prompt"])
            self._answer({"words": [{"text": t, "probability": p} for t, p in self.fake.words]})
        elif self.path == "/v1/completions" and body.get("logprobs"):
            self.fake.looked_at.append(body["prompt"])
            self._answer({"choices": [{"logprobs": {"top_logprobs": [self.fake.likeliest]}}]})
        elif self.path == "/v1/completions":
            self.fake.asked.append(body)
            if body.get("echo"):
                self._answer({"choices": [self._score_prompt(body["prompt"])]})
            elif self.fake.refusal:
                self._refuse(*self.fake.refusal)
            else:
                self._stream(body)
        else:
            self._refuse(404, "no such page")

    def _stream(self, body: dict[str, Any]) -> None:
        self._begin(200, "text/event-stream")
        try:
            for place in range(body["max_tokens"]):
                for index in range(body["n"]):
                    text = self.fake.texts[index % len(self.fake.texts)]
                    if place < len(text):
                        end = "stop" if body.get("stop") and place == len(text) - 1 else None
                        scored = make_choice(text[place], [place], [self._logprob(place)])
                        choice = {"index": index, "finish_reason": end, **scored}
                        self._event(json.dumps({"choices": [choice]}))
                time.sleep(self.fake.delay)
            self._event("[DONE]")
        except OSError:
            self.fake.dropped += 1

    def _score_prompt(self, prompt: str) -> dict[str, Any]:
        score = self.fake.score_of
        each = [score(prompt) if score else self._logprob(at) for at in range(1, len(prompt))]
        return make_choice(prompt, list(range(len(prompt))), [None, *each])

    def _logprob(self, place: int) -> float:
        return self.fake.logprobs[place % len(self.fake.logprobs)]

    def _event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def _refuse(self, status: int, message: str) -> None:
        self._answer({"error": {"message": message, "type": "invalid_request_error"}}, status)

    def _answer(self, value: Any, status: int = 200) -> None:
        self._begin(status, "application/json")
        self.wfile.write(json.dumps(value).encode())

    def _begin(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Print no messages."""
