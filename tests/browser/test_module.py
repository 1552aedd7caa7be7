"""The sketch of docs/writing-page.md, with a model as an ES module."""

from __future__ import annotations

import re
from typing import Any

import pytest

from charrnn.extras.page.packing import choose_precision
from charrnn.extras.page.script_module import make_script_module
from tests import REPOSITORY
from tests.browser.steps import until, watch_window
from tests.generation.models import make_counted_model

pytestmark = pytest.mark.browser


def test_the_sketch_of_the_docs_draws_words(chromium: Any) -> None:
    page_of_docs = (REPOSITORY / "docs" / "writing-page.md").read_text("utf-8")
    [sketch] = re.findall(r"^```html\n(.*?)^```$", page_of_docs, re.DOTALL | re.MULTILINE)
    assert len(sketch.splitlines()) == 15
    module = make_script_module(choose_precision(make_counted_model(), 32), None, "")
    drawn = """() => {
        const { width, height } = document.querySelector("canvas");
        const pen = document.querySelector("canvas").getContext("2d");
        return pen.getImageData(0, 0, width, height).data.some((value) => value > 0);
    }"""
    address = "http://localhost/"  # of no server
    files = {"sketch.html": ("text/html", sketch), "model.js": ("text/javascript", module)}

    def answer(route: Any) -> None:
        kind, body = files[route.request.url.removeprefix(address)]
        route.fulfill(content_type=f"{kind}; charset=utf-8", body=body)

    with watch_window(chromium, address) as context:
        context.route("**/*", answer)
        page = context.new_page()
        page.goto(f"{address}sketch.html")
        until(lambda: page.evaluate(drawn))
