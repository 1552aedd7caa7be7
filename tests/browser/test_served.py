"""The page of a server: it fetches models, runs them, and lets the server train networks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from charrnn.extras.page.writing_page import make_served_page
from charrnn.model import Model
from tests.browser.steps import (
    TEXT,
    choose,
    generate,
    pack,
    save,
    soon,
    title_is,
    wait_until_written,
    watch_window,
)
from tests.generation.models import make_counted_model

pytestmark = pytest.mark.browser

MODEL = make_counted_model()


class FakeServer(ThreadingHTTPServer):
    """Speak as `charrnn serve` does to the page, of the models and trainings that a test gives."""

    models: dict[str, bytes]
    trainings: list[dict[str, Any]]
    asked: list[tuple[str, str, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(make_served_page().encode(), "text/html; charset=utf-8")
        elif self.path == "/v1/models":
            data = [{"id": name, "file": f"models/{name}"} for name in self.server.models]
            self._answer({"object": "list", "data": data})
        elif self.path == "/v1/trainings":
            self._answer({"data": self.server.trainings})
        else:
            packed = self.server.models.get(unquote(self.path).removeprefix("/models/"))
            error = {"error": {"message": "no such model"}}
            self._answer(packed or error, status=200 if packed else 404)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"] or 0)
        content = json.loads(self.rfile.read(length) or "null")
        self.server.asked.append((self.command, self.path, content))
        self._answer({})

    do_DELETE = do_POST

    def _answer(self, value: Any, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(value if isinstance(value, bytes) else json.dumps(value).encode())

    def log_message(self, *arguments: Any) -> None:
        """Print no messages."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(("127.0.0.1", 0), _Handler) as server:
        server.models, server.trainings, server.asked = {}, [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def page(chromium: Any, server: FakeServer) -> Iterator[Any]:
    address = f"http://127.0.0.1:{server.server_port}/"
    with watch_window(chromium, address, base_url=address) as context:
        yield context.new_page()


def test_a_network_is_trained_on_a_learnt_text(
    page: Any, server: FakeServer, tmp_path: Any
) -> None:
    page.goto("/")
    choose(page, ("cats.txt", TEXT))
    title_is(page, "cats")
    wait_until_written(page)
    losses = [[0, 3.0], [100, 2.0], [200, 1.5]]
    progress = "epoch 1 / 2, step 200 / 400, loss 1.500, 1:30 left"
    training = {"id": "a1", "name": "cats", "state": "running", "line": progress, "loss": 1.5,
                "losses": losses, "better": False}  # fmt: skip
    server.trainings = [training]
    page.get_by_role("button", name="Train a network").click()
    page.get_by_text(f"running · {progress}").wait_for()
    assert server.asked == [("POST", "/v1/trainings", {"name": "cats", "text": TEXT})]
    assert page.locator("#trainings polyline").get_attribute("points") == "0,0 50,20 100,30"
    page.locator("#trainings").get_by_role("button", name="Stop").click()
    soon(lambda: server.asked[-1] == ("POST", "/v1/trainings/a1/stop", None))
    server.models = {"cats": pack(MODEL)}
    server.trainings = [{**training, "state": "done", "line": "", "better": True}]
    page.get_by_text("done · loss 1.500 · writes better than counts").wait_for()
    page.locator("#trainings").get_by_role("button", name="Delete").click()
    soon(lambda: server.asked[-1] == ("DELETE", "/v1/trainings/a1", None))
    page.keyboard.press("Escape")
    page.get_by_label("Model").select_option(label="cats")
    asked: dict[str, Any] = {"length": 200, "seed": 5}
    expected = Model(MODEL).generate(**asked)
    soon(lambda: generate(page, **asked) == expected)
    page.get_by_label("Model").select_option("cats (counted)")
    soon(lambda: generate(page, **asked) != expected)
    page.locator("#shelf-toggle").click()
    home = save(page, "Take home", tmp_path / "cats.html").read_text("utf-8")
    head = home[: home.index("<style>")]
    assert "worker-src blob:" in head
    assert "connect-src" not in head
    assert "data-served" not in head
