"""The page with the server that it is made for, on models of random weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from charrnn.model import Model
from tests.browser.steps import (
    OPTIONS,
    continue_text,
    list_highlighted,
    list_offered,
    list_words,
    set_options,
    slide,
    wait_for_models,
    watch_window,
)
from tests.browser.test_exported import cards
from tests.browser.test_learning import TEXT, choose, title_is
from tests.extras.serve.servers import Server, serving
from tests.generation.models import make_counted_model
from tests.waiting import until

pytestmark = pytest.mark.browser

MODEL = Model(make_counted_model())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    folder = tmp_path_factory.mktemp("models")
    (folder / "corpus.txt").write_text("It was a dark and stormy night; the rain fell in torrents.")
    MODEL.save(folder / "model.safetensors")
    names = (f"corpus={folder / 'corpus.txt'}", f"models.it={folder / 'model.safetensors'}")
    with serving("unknown=error", "streams=2", "max_prompt=60", *names) as server:
        yield server


@pytest.fixture
def page(chromium: Any, real: Server) -> Iterator[Any]:
    """Open the page of the server."""
    address = f"{real.url}/"
    with watch_window(chromium, address) as context:
        page = context.new_page()
        page.goto(address)
        wait_for_models(page)
        yield page


def test_the_page_writes_what_the_model_writes_and_asks_for_what_is_allowed(page: Any) -> None:
    set_options(page)
    slide(page, "Temperature", "0.7")
    slide(page, "Invented words", "0")
    draft = "The cat sat on a mat. " * 9 + "The ca"
    page.locator("#text").fill(draft)
    continue_text(page)
    options = {**OPTIONS, "temperature": 0.7, "new_words": 0, "num_samples": 2}
    texts = MODEL.generate(2000, draft[-60:], **options)
    until(lambda: list_offered(page) == texts)


def test_typed_text_is_marked_as_the_model_and_its_text_say(page: Any) -> None:
    text = "We say: What a mat! A dark and stormy night fell"
    page.locator("#text").fill(text)
    page.locator("#show-typed").evaluate("box => box.click()")
    page.locator("#character").get_by_text("was").wait_for()
    share = 100 * np.exp(-MODEL.losses(text)[-1])
    told = re.search(r"“l” was (\S+) % likely", page.locator("#character").text_content())
    assert told is not None
    assert float(told[1]) == pytest.approx(share, rel=0.06, abs=0.01)
    until(lambda: list_highlighted(page, "copied", ".mirror") == "dark and stormy night")
    words = [word.text for word in MODEL.next_words("We say: What a", 9)]
    assert list_words(page, 16) == [word.strip() or "space" for word in words if word != " mat"]


@pytest.mark.usefixtures("workplace")
def test_without_a_model_it_learns_a_text_also_on_other_devices(chromium: Any) -> None:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    with serving("host=0.0.0.0") as server:
        # as from another machine, unlike the loopback address
        address = f"http://0.0.0.0:{server.url.rpartition(':')[2]}/"
        with watch_window(chromium, address) as context:
            page = context.new_page()
            page.goto(address)
            assert page.evaluate("isSecureContext") is False
            choose(page, "cats.txt", TEXT)
            title_is(page, "cats")
            page.locator("#text").press_sequentially("The c")
            until(lambda: all(text.startswith("at") for text in cards(page)))
