"""What tests of the page do again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that the page does in its own time."""
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def text_of(page: Any) -> str:
    value: str = page.locator("#text").input_value()
    return value


def highlighted(page: Any, name: str, selector: str) -> str:
    """What is shown with a highlight in the element, in the order of the text."""
    found: str = page.evaluate(
        """([name, selector]) => [...CSS.highlights.get(name) ?? []]
            .filter((range) => range.startContainer.parentElement.closest(selector))
            .sort((a, b) => a.startContainer === b.startContainer
                ? a.startOffset - b.startOffset
                : a.startContainer.compareDocumentPosition(b.startContainer) & 2 ? 1 : -1)
            .map((range) => range.startContainer.data.slice(range.startOffset, range.endOffset))
            .join("|")""",
        [name, selector],
    )
    return found


def slide(page: Any, name: str, to: str) -> None:
    page.get_by_role("slider", name=name).fill(to)


def continue_text(page: Any) -> None:
    """Ask for continuations, and wait until they are written."""
    page.locator("#text").press("Control+Enter")
    page.get_by_text("characters a second").wait_for()


def write(page: Any, text: str) -> None:
    """Type a text and have it continued, until the writing has ended."""
    page.locator("#text").press_sequentially(text)
    continue_text(page)


def set_field(page: Any, name: str, to: str) -> None:
    """Fill in a field that may be out of sight."""
    page.locator(f"#{name}").evaluate("(field, to) => { field.value = to; }", to)


def click_character(page: Any, place: int) -> None:
    """Click the middle of a character of the draft."""
    box = page.evaluate(
        """place => {
            const range = document.createRange();
            for (const node of document.querySelector(".mirror").childNodes) {
                if (place < node.length) {
                    range.setStart(node, place);
                    range.setEnd(node, place + 1);
                    return range.getBoundingClientRect().toJSON();
                }
                place -= node.length;
            }
        }""",
        place,
    )
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def looks_right(page: Any) -> None:
    """axe finds nothing, and nothing is wider than the window."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"]) for rule in found] == []
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
