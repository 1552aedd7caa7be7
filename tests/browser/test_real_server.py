"""The page with the server that it is made for, on models of random weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.model import Model
from tests.browser.steps import (
    OPTIONS,
    list_highlighted,
    list_offered,
    list_words,
    set_options,
    slide,
    until,
    watch_window,
    write,
)
from tests.extras.serve.servers import BYTES, Server, serving
from tests.generation.models import make_counted_model

pytestmark = pytest.mark.browser

MODELS = {
    "counted": Model(make_counted_model()),
    "bytes": Model(replace(BYTES.trained, facts={})),  # no list
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    folder = tmp_path_factory.mktemp("models")
    corpus = "It was a dark and stormy night; the rain fell in torrents."
    (folder / "corpus.txt").write_text(corpus)
    options = ["engine=numpy", "unknown=error", f"corpus={folder / 'corpus.txt'}"]
    for name, model in MODELS.items():
        model.save(folder / f"{name}.safetensors")
        options.append(f"models.{name}={folder / name}.safetensors")
    with serving(*options) as server:
        yield server


@contextmanager
def page_of(chromium: Any, server: Server, name: str) -> Iterator[Any]:
    """Open the page at / with a model of the server, and texts of 20 characters."""
    address = f"{server.url}/"
    with watch_window(chromium, address, base_url=address) as context:
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Model").select_option(name)
        slide(page, "Length", "0")
        yield page


def test_the_page_writes_what_the_model_writes(chromium: Any, real: Server) -> None:
    with page_of(chromium, real, "counted") as page:
        set_options(page)
        slide(page, "Temperature", "0.7")
        slide(page, "Invented words", "0")
        write(page, "The ca")
        how = {**OPTIONS, "temperature": 0.7, "new_words": 0}
        texts = MODELS["counted"].generate(2000, "The ca", **how)
        until(lambda: list_offered(page) == texts)


def test_typed_text_is_marked_as_the_model_and_its_text_say(chromium: Any, real: Server) -> None:
    text = "We say: What a mat! A dark and stormy night fell"
    with page_of(chromium, real, "counted") as page:
        page.locator("#text").fill(text)
        page.locator("#show-typed").evaluate("box => box.click()")
        page.locator("#character").get_by_text("was").wait_for()
        share = 100 * np.exp(-MODELS["counted"].losses(text)[-1])
        told = re.search(r"“l” was (\S+) % likely", page.locator("#character").text_content())
        assert told is not None
        assert float(told[1]) == pytest.approx(share, rel=0.06, abs=0.01)
        until(lambda: list_highlighted(page, "copied", ".mirror") == "dark and stormy night")
        words = [word.text for word in MODELS["counted"].next_words("We say: What a", 9)]
        assert list_words(page, 16) == [word.strip() or "space" for word in words if word != " mat"]


def test_a_model_of_bytes(chromium: Any, real: Server) -> None:
    """Check that bytes arrive one by one and are shown as characters, also invalid ones."""
    with page_of(chromium, real, "bytes") as page:
        write(page, "é a")
        assert set() < set("".join(list_offered(page))) <= set("a\n é\ufffd")
