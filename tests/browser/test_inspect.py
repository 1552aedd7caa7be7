"""The page of `charrnn inspect`: one file in which the network is alive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.extras.inspect.passage_report import make_page
from charrnn.extras.page.packing import choose_precision
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.browser.steps import LOOKS, looks_right, open_file
from tests.generation.models import CHARACTERS, make_counted_model, make_model
from tests.generation.models import TEXT as COUNTED
from tests.waiting import until

pytestmark = pytest.mark.browser

HOSTILE = "</script><script>window.broken = 1</script><!-- \0\u2028\u2029'\"`${x}&lt;\\u003c\r\n"
TEXT = "".join(np.random.default_rng(0).choice(list(CHARACTERS), 1500))


@contextmanager
def inspect(
    chromium: Any, folder: Path, model: TrainedModel, text: str = TEXT, **how: Any
) -> Iterator[Any]:
    """Open the page of a model and a text, when all is read and written."""
    alone = replace(model, counts=None)
    path = folder / "inspect.html"
    content = make_page(choose_precision(alone, 32), model.vocabulary.encode(text), model.counts)
    path.write_text(content, encoding="utf-8", newline="")
    with open_file(chromium, path, **how) as page:
        wait_until_settled(page)
        yield page


def wait_until_settled(page: Any) -> None:
    done = "charrnn.ready && charrnn.reading.isDone && charrnn.writing.isDone && !charrnn.isBusy"
    until(lambda: page.evaluate(done))


def bits(page: Any) -> list[float]:
    found: list[float] = page.evaluate("Array.from(charrnn.reading.bits)")
    return found[1:]


def check_bits(page: Any, losses: Any) -> None:
    np.testing.assert_allclose(bits(page)[: len(losses)], losses / np.log(2), atol=1e-3)


def put_caret(page: Any, place: int) -> None:
    script = "(area, at) => { area.focus(); area.setSelectionRange(at, at); }"
    page.locator("textarea").evaluate(script, place)
    until(lambda: page.evaluate("charrnn.place") == place)


def list_tinted(page: Any, name: str) -> str:
    """Return the visible text whose tint has a class."""
    texts = page.locator(f"#sheet .mirror .{name}").all_text_contents()
    return "".join(texts)


def test_the_passage_is_scored_as_in_python(chromium: Any, tmp_path: Path) -> None:
    model = make_model()
    with inspect(chromium, tmp_path, model) as page:
        expected = Model(model).losses(TEXT)
        check_bits(page, expected)
        assert len(bits(page)) == len(expected)
        told = page.locator("#passage-loss").text_content()
        assert told == (
            f"1,500 characters, loss {expected.mean():.3f} nats per character, "
            f"as uncertain as a choice among {np.exp(expected.mean()):.1f}"
        )
        assert list_tinted(page, "level-5") != ""
        assert page.title() == page.locator("h1").text_content() == "Inside a model"
        # the caret tells what was expected, and so does the pointer
        put_caret(page, 70)
        logits = Model(model).logits(TEXT[:70])[-1].astype(np.float64)
        p = np.exp(logits - np.logaddexp.reduce(logits))
        first = model.vocabulary.characters[p.argmax()]
        shown = page.locator("#cursor li").first.text_content()
        assert shown.startswith({" ": "space", "\n": "line break"}.get(first, first))
        assert f"{100 * p.max():.0f}%" in shown
        page.locator("#sheet").evaluate("(sheet) => { sheet.scrollTop = 0; }")
        box = page.evaluate("charrnn.sheet.lines[0].element.getBoundingClientRect().toJSON()")
        page.mouse.move(box["x"] + 3, box["y"] + 8)
        until(lambda: page.evaluate("charrnn.place") == 0)


def test_the_effect_of_counts_is_shown(chromium: Any, tmp_path: Path) -> None:
    model = make_counted_model()
    text = COUNTED[:600]
    both, network, counts = (Model(model).losses(text, counts=c) for c in ("auto", "none", "only"))
    with inspect(chromium, tmp_path, model, text) as page:
        check_bits(page, network)
        told = page.locator("#counts-loss").text_content()
        assert f"{both.mean():.3f} with counts, {network.mean():.3f} without" in told
        assert f"{counts.mean():.3f} with counts only" in told
        page.locator("#tint-counts").check()
        gain = (network - both) / np.log(2)
        better = list_tinted(page, "n5") + list_tinted(page, "n4")
        is_letter = np.array([character != "\n" for character in text[1:]])
        assert len(better) == pytest.approx(np.sum(is_letter & (gain >= 4)), abs=3)
        at = int(gain.argmax())
        put_caret(page, at + 1)
        alone, mixed = page.locator("#cursor .bits").text_content().split(" bits, ")
        assert float(alone) == pytest.approx(network[at] / np.log(2), abs=0.06)
        shown = float(mixed.removesuffix(" with counts"))
        assert shown == pytest.approx(both[at] / np.log(2), abs=0.1)


def test_an_edit_is_followed(chromium: Any, tmp_path: Path) -> None:
    model = make_model()
    with inspect(chromium, tmp_path, model) as page:
        area = page.locator("textarea")
        area.evaluate("(area) => area.setSelectionRange(40, 45)")
        area.press_sequentially("To be, or not")
        wait_until_settled(page)
        text = TEXT[:40] + "To be, or not" + TEXT[45:]
        assert area.input_value() == text
        check_bits(page, Model(model).losses(text))
        area.fill("Short: é")
        wait_until_settled(page)
        check_bits(page, Model(model).losses("Short: "))
        assert list_tinted(page, "unknown") == "é"
        area.fill("")
        wait_until_settled(page)
        assert "0 characters" in page.locator("#passage-loss").text_content()


def test_a_unit_that_is_switched_off_changes_what_is_read_and_written(
    chromium: Any, tmp_path: Path
) -> None:
    with inspect(chromium, tmp_path, make_model()) as page:
        free = bits(page)
        texts = page.locator("#writing .text")
        before = texts.nth(0).text_content()
        assert not page.get_by_label("Effect of held units").is_enabled()
        page.get_by_role("button", name="Switch off").click()
        wait_until_settled(page)
        assert bits(page) != free
        assert page.get_by_label("Effect of held units").is_checked()
        held = texts.nth(1).text_content()
        assert texts.nth(0).text_content() == before
        assert held not in ("", before)
        page.locator("#value").fill("-1")
        wait_until_settled(page)
        assert texts.nth(1).text_content() != held
        assert list_tinted(page, "p1") + list_tinted(page, "n1") != ""
        page.locator("#held button").click()
        wait_until_settled(page)
        assert bits(page) == free
        assert not texts.nth(1).is_visible()


def test_texts_in_inspect_are_data(chromium: Any, tmp_path: Path) -> None:
    vocabulary = Vocabulary(sorted(set(HOSTILE)))
    facts = {"primer": HOSTILE, "input_h5": HOSTILE}
    model = replace(make_model(vocabulary=vocabulary), facts=facts)
    text = HOSTILE * 5
    with inspect(chromium, tmp_path, model, text) as page:
        check_bits(page, Model(model).losses(text))
        assert page.evaluate("charrnn.reading.ids.length") == len(text)
        page.locator("textarea").press_sequentially("</script>")
        page.get_by_role("button", name="Switch off").click()
        wait_until_settled(page)
        assert page.locator("script").count() == 3
        assert page.evaluate("window.broken") is None


@pytest.mark.parametrize("look", LOOKS[1:])
def test_inspect_is_accessible_and_nothing_is_cut_off(
    chromium: Any, tmp_path: Path, look: dict[str, Any]
) -> None:
    with inspect(chromium, tmp_path, make_model(), **look) as page:
        looks_right(page)
        page.locator("#features summary").first.click()
        page.get_by_role("button", name="Switch off").click()
        wait_until_settled(page)
        looks_right(page)
