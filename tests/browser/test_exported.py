"""The page of `charrnn export`: one file in which the model writes."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.page.packing import pack_model
from charrnn.extras.page.rounding import RoundedModel
from charrnn.extras.page.writing_page import make_writing_page
from charrnn.generation.numpy_network import fold_weights
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.browser.steps import (
    list_offered,
    list_words,
    open_file,
    set_option,
    settle,
    soon,
    text_of,
    wait_until_written,
)
from tests.generation.definition import list_next_words
from tests.generation.models import make_counted_model, make_model

pytestmark = pytest.mark.browser

NO_CHANCE = "Math.random = () => 0"  # every seed is 0


def pack(model: TrainedModel) -> bytes:
    return pack_model(RoundedModel(model, fold_weights(model)), "Verse", "Nobody's")


def write_page(folder: Path, model: TrainedModel) -> Path:
    (folder / "page.html").write_text(make_writing_page(pack(model), "Verse"), encoding="utf-8")
    return folder / "page.html"


def generate(page: Any, **asked: Any) -> str:
    text: str = page.evaluate("(asked) => window.charrnn.generate(asked)", asked)
    return text


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("Worker = () => { throw new Error(); }", "This browser starts no worker"),
        ("Blob = class { constructor(parts, type) { return new Original(['no('], type); } }",
         "This browser starts no worker"),
        ("Blob = class { constructor([script], type) { return new Original("
         "['DecompressionStream = undefined;', script], type); } }", "This browser is too old"),
    ],
)  # fmt: skip
def test_a_browser_that_cannot_run_the_page_says_so(
    chromium: Any, tmp_path: Path, first: str, told: str
) -> None:
    context = chromium.new_context()  # whose errors are expected
    page = context.new_page()
    page.add_init_script(f"const Original = Blob; {first}")
    page.goto(write_page(tmp_path, make_model()).as_uri())
    page.locator("#notice").get_by_text(told).wait_for()
    context.close()


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


def test_unknown_characters_are_read_as_the_nearest(chromium: Any, tmp_path: Path) -> None:
    for quotes, text in (('"', "“É漢 Zoë” "), ("“”", '"É漢 Zoë" ')):
        model = make_model(vocabulary=Vocabulary([*string.ascii_lowercase, " ", *quotes]))
        with open_file(chromium, write_page(tmp_path, model), first=NO_CHANCE) as page:
            wait_until_written(page)
            page.locator("#text").fill(text)
            settle(page)
            start = f"{quotes[0]}e zoe{quotes[-1]} "
            expected = Model(model).generate(400, start, seed=0, num_samples=3)
            assert all(map(str.startswith, expected, list_offered(page)))


def test_the_draft_is_kept_by_each_page_for_itself(chromium: Any, tmp_path: Path) -> None:
    with open_file(chromium, write_page(tmp_path, make_model())) as page:
        wait_until_written(page)
        page.locator("#text").fill("Mine")
        for seed, kept in ((1, ""), (0, "Mine")):
            write_page(tmp_path, make_model(seed=seed))
            page.reload()
            wait_until_written(page)
            soon(lambda: text_of(page) == kept)  # noqa: B023
