"""The sketch of docs/writing-page.md, with a model as an ES module."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.page.packing import choose_precision
from charrnn.extras.page.script_module import make_script_module
from tests import REPOSITORY
from tests.browser.steps import until, watch_window
from tests.generation.models import make_counted_model

pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_the_sketch_of_the_docs_draws_words(chromium: Any, tmp_path: Path, address: str) -> None:
    page_of_docs = (REPOSITORY / "docs" / "writing-page.md").read_text("utf-8")
    [sketch] = re.findall(r"^```html\n(.*?)^```$", page_of_docs, re.DOTALL | re.MULTILINE)
    assert len(sketch.splitlines()) == 15
    (tmp_path / "sketch.html").write_text(sketch, "utf-8")
    module = make_script_module(choose_precision(make_counted_model(), 32), None, "")
    (tmp_path / "model.js").write_text(module, "utf-8")
    drawn = """() => {
        const { width, height } = document.querySelector("canvas");
        const pen = document.querySelector("canvas").getContext("2d");
        return pen.getImageData(0, 0, width, height).data.some((value) => value > 0);
    }"""
    with watch_window(chromium, address) as context:
        page = context.new_page()
        page.goto(f"{address}sketch.html")
        until(lambda: page.evaluate(drawn))
