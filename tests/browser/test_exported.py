"""The page of `charrnn export`: one file in which the model writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charrnn.model import Model
from tests.browser.steps import (
    list_offered,
    list_words,
    open_file,
    set_option,
    settle,
    wait_until_written,
    write_page,
)
from tests.generation.definition import list_next_words
from tests.generation.models import make_counted_model, make_model

pytestmark = pytest.mark.browser

NO_CHANCE = "Math.random = () => 0"  # every seed is 0


def test_an_exported_page_writes_at_once_what_python_writes(chromium: Any, tmp_path: Path) -> None:
    model = make_counted_model()
    with open_file(chromium, write_page(tmp_path, model), first=NO_CHANCE) as page:
        wait_until_written(page)
        assert page.locator("h1").text_content() == page.title() == "Verse"
        score = page.evaluate("window.charrnn.score('The cat')")
        assert score == pytest.approx(Model(model).score("The cat"), abs=1e-5)
        assert page.get_by_text("Nobody's").is_visible()
        set_option(page, "length", "500")
        page.locator("#text").press_sequentially("The ca")
        for name, new_words in (("none", 0), ("free", 1), ("few", None)):
            set_option(page, "new_words", name)
            settle(page)
            texts = Model(model).generate(500, "The ca", seed=0, new_words=new_words, num_samples=3)
            assert all(map(str.startswith, texts, list_offered(page)))
            assert all(len(text) > 300 for text in list_offered(page))
        page.locator("#text").fill("What a mat!")
        settle(page)
        words = [word for word, _ in list_next_words(Model(model), "What a", 24)]
        whole = [word.strip() or "space" for word in words if not word[0].isalpha()]
        assert list_words(page, 8) == [word for word in whole if word != "mat"][:8]
    with open_file(chromium, write_page(tmp_path, make_model())) as page:
        wait_until_written(page)
        page.get_by_role("button", name="More").click()
        assert not page.get_by_label("Invented words").is_visible()


def test_a_file_that_is_cut_off_says_so(chromium: Any, tmp_path: Path) -> None:
    path = write_page(tmp_path, make_model())
    with open_file(chromium, path) as page:
        wait_until_written(page)
        assert page.get_by_text("the file is incomplete").count() == 0
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_file(chromium, path) as page:
        page.get_by_text("If this line stays, the file is incomplete").wait_for()
