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
    click_character,
    list_highlighted,
    set_field,
    set_options,
    slide,
    text_of,
    until,
    watch_window,
    write,
)
from tests.extras.serve.servers import BYTES, Server, serving
from tests.generation.models import make_counted_model, make_model

pytestmark = pytest.mark.browser


MODELS = {
    "plain": Model(make_model()),
    "sure": Model(make_model(conviction=2.0)),
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
    model = MODELS["sure"]
    with page_of(chromium, real, "sure") as page:
        slide(page, "Texts", "1")
        slide(page, "Temperature", "0.7")
        set_field(page, "seed", "7")
        write(page, "It was")
        expected = model.generate(length=20, start_text="It was", temperature=0.7, seed=7)
        written = text_of(page).removeprefix("It was")
        assert len(written) > 5
        assert expected.startswith(written)  # but for the word that it ends in


def test_typed_text_is_as_surprising_as_the_model_says(chromium: Any, real: Server) -> None:
    model = MODELS["plain"]
    with page_of(chromium, real, "plain") as page:
        page.locator("#text").fill("It was a dark and stormy night")
        page.locator("#show-typed").evaluate("box => box.click()")
        page.locator("#character").get_by_text("was").wait_for()
        share = 100 * np.exp(-model.losses("It was a dark and stormy night")[-1])
        told = re.search(r"“t” was (\S+) % likely", page.locator("#character").text_content())
        assert told is not None
        assert float(told[1]) == pytest.approx(share, rel=0.06, abs=0.5)


def test_passages_of_the_training_text_are_underlined(chromium: Any, real: Server) -> None:
    with page_of(chromium, real, "plain") as page:
        page.locator("#text").fill("We say: a dark and stormy night, and the rain fell.")
        until(lambda: list_highlighted(page, "copied", ".mirror") == "a dark and stormy night")


def test_a_model_of_bytes(chromium: Any, real: Server) -> None:
    """Check that bytes arrive one by one and are shown as characters, also invalid ones."""
    with page_of(chromium, real, "bytes") as page:
        write(page, "é a")
        shown = "".join(page.locator("#alternatives .text").all_text_contents())
        assert set() < set(shown) <= set("a\n é\ufffd")


def test_the_words_of_a_click_are_those_of_the_model(chromium: Any, real: Server) -> None:
    with page_of(chromium, real, "counted") as page:
        page.locator("#text").fill("What a mat!")
        click_character(page, 8)
        page.locator("#character-menu li").first.wait_for()
        words = [word.text for word in MODELS["counted"].next_words("What a", 9)]
        shown = page.locator("#character-menu b").all_inner_texts()
        assert [name for name in map(name_word, words) if name != "“mat”"][:8] == shown


def name_word(word: str) -> str:
    """Match the name of a word or mark after a part of a word."""
    names = {" ": "space", "\n": "line break"}
    shown = word.strip() or word[-1]
    return names.get(shown, f"“{'…' if word[0].isalpha() else ''}{shown}”")


def test_options_for_the_text_reach_the_model(chromium: Any, real: Server) -> None:
    with page_of(chromium, real, "sure") as page:
        set_options(page)
        write(page, "Hm: ")
        texts = MODELS["sure"].generate(2000, "Hm: ", **OPTIONS)
        until(lambda: page.locator("#alternatives .text").all_text_contents() == texts)


def test_the_choice_of_invented_words_reaches_the_model(chromium: Any, real: Server) -> None:
    with page_of(chromium, real, "counted") as page:
        set_options(page)
        set_field(page, "stop", "!")
        slide(page, "Invented words", "0")
        write(page, "The ca")
        options = {**OPTIONS, "until": "!", "new_words": 0}
        texts = MODELS["counted"].generate(2000, "The ca", **options)
        until(lambda: page.locator("#alternatives .text").all_text_contents() == texts)
