"""The page of `charrnn export`: one file in which the model writes."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.page.packing import RoundedModel
from charrnn.extras.page.writing_page import make_writing_page
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.browser.steps import (
    OPTIONS,
    list_highlighted,
    list_offered,
    list_words,
    open_file,
    open_options,
    set_field,
    set_options,
    slide,
    text_of,
)
from tests.generation.models import make_counted_model, make_model
from tests.waiting import until

pytestmark = pytest.mark.browser


def write_page(folder: Path, model: TrainedModel, *about: str) -> Path:
    """Write a page with a title, a licence, and perhaps the text of which it leaves out lines."""
    page = make_writing_page(RoundedModel(32, model, 0), *(about or ("Verse", "Nobody's")))
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder / "page.html"


def generate(page: Any, **asked: Any) -> str:
    text: str = page.evaluate("(asked) => window.charrnn.generate(asked)", asked)
    return text


def cards(page: Any) -> list[str]:
    """Wait until the continuations are complete, and return them."""
    page.get_by_text("characters a second").wait_for()
    return list_offered(page)


def test_a_seed_gives_the_same_text_in_an_exported_page(chromium: Any, tmp_path: Path) -> None:
    model = make_counted_model(num_layers=3, skip="sum", batchnorm=True)
    path, text = write_page(tmp_path, model), "The cat on the mat"
    with open_file(chromium, path) as page:
        assert page.evaluate("window.charrnn.ready")
        asked: dict[str, Any] = {"length": 400, "seed": 7, "top_k": 9, "start_text": "Ah"}
        assert generate(page, **asked) == Model(model).generate(**asked)
        score = page.evaluate("(text) => window.charrnn.score(text)", text)
        assert score == pytest.approx(Model(model).score(text), abs=1e-5)
        assert not page.locator("#notice").is_visible()
    with open_file(chromium, path, first="delete globalThis.DecompressionStream") as page:
        expected = Model(model).generate(60, seed=3, counts="none")
        assert generate(page, length=60, seed=3) == expected
        page.get_by_text("only the network writes").wait_for()
    with open_file(chromium, path, first="delete window.atob") as page:
        page.get_by_text("cannot run the page: atob").wait_for()


def test_an_exported_page_writes_at_once_and_while_one_types(chromium: Any, tmp_path: Path) -> None:
    model = make_model()
    with open_file(chromium, write_page(tmp_path, model)) as page:
        assert page.locator("h1").text_content() == page.title() == "Verse"
        assert page.get_by_text("Nobody's").is_visible()
        assert all(130 < len(text) <= 200 for text in cards(page))
        set_field(page, "seed", "5")
        page.locator("#text").press_sequentially("Hm: ")
        texts = Model(model).generate(200, "Hm: ", seed=5, num_samples=3)
        until(lambda: all(map(str.startswith, texts, cards(page))))
        expected = cards(page)  # but for a word or a sentence at the end of each
        assert all(len(text) > 130 for text in expected)
        page.keyboard.press("Alt+2")
        until(lambda: text_of(page) == "Hm: " + expected[1])
        assert list_highlighted(page, "surprise-2", ".mirror") != ""
        until(lambda: cards(page)[0] not in expected)
        page.keyboard.press("Control+z")
        page.wait_for_timeout(500)
        assert (list_offered(page), text_of(page)) == (expected, "Hm: ")
        page.keyboard.press("Escape")
        open_options(page)
        page.get_by_label("Write as I type").uncheck()
        page.keyboard.press("Escape")
        page.locator("#text").press_sequentially(" and")
        page.wait_for_timeout(400)
        assert not page.locator("#alternatives").is_visible()


def test_options_for_the_text_do_what_they_do_in_python(chromium: Any, tmp_path: Path) -> None:
    model = make_counted_model()
    with open_file(chromium, write_page(tmp_path, model)) as page:
        set_options(page)
        page.locator("#text").fill("The ca")
        for to, new_words in (("0", 0), ("2", 1), ("1", None)):
            slide(page, "Invented words", to)
            texts = Model(model).generate(2000, "The ca", new_words=new_words, **OPTIONS)
            until(lambda: cards(page) == texts)  # noqa: B023
    with open_file(chromium, write_page(tmp_path, make_model())) as page:
        cards(page)
        assert not page.get_by_role("slider", name="Invented words").is_visible()


def test_unknown_characters_are_read_as_the_nearest(chromium: Any, tmp_path: Path) -> None:
    for quotes, text in (('"', "“É漢 Zoë” "), ("“”", '"É漢 Zoë" ')):
        model = make_model(vocabulary=Vocabulary([*string.ascii_lowercase, " ", *quotes]))
        with open_file(chromium, write_page(tmp_path, model)) as page:
            set_field(page, "seed", "5")
            page.locator("#text").fill(text)
            start = f"{quotes[0]}e zoe{quotes[-1]} "
            expected = Model(model).generate(200, start, seed=5, num_samples=3)
            until(lambda: cards(page) == expected)  # noqa: B023


def test_the_draft_is_kept_by_each_page_for_itself(chromium: Any, tmp_path: Path) -> None:
    with open_file(chromium, write_page(tmp_path, make_model())) as page:
        page.locator("#text").fill("Mine")
        for seed, kept in ((1, ""), (0, "Mine")):
            write_page(tmp_path, make_model(seed=seed))
            page.reload()
            until(lambda: text_of(page) == kept)  # noqa: B023


def test_words_of_a_click_are_those_of_python(chromium: Any, tmp_path: Path) -> None:
    model = make_counted_model()
    with open_file(chromium, write_page(tmp_path, model)) as page:
        page.locator("#text").fill("What a mat!")
        words = [word.text for word in Model(model).next_words("What a", 9)]
        assert list_words(page, 8) == [word.strip() or "space" for word in words if word != " mat"]
