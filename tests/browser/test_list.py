"""The list: many short entries, of which the good ones are starred, kept and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.steps import fake, press, save, shelf, soon

pytestmark = pytest.mark.browser


def entries(page: Any) -> list[str]:
    found: list[str] = page.locator("#list li").all_inner_texts()
    return found


def write_list(page: Any, says: str) -> None:
    page.keyboard.press("Control+Enter")
    page.get_by_text(says, exact=True).wait_for()


def test_entries_are_written_starred_kept_and_saved(page: Any, tmp_path: Path) -> None:
    def save_list() -> str:
        page.locator("#shelf-toggle").click()
        return save(page, "Save as text", tmp_path / "list").read_bytes().decode()

    texts = ["tea", "deep sea", "tea ", 'a "rose", red', "sea", "moss"]
    page.get_by_role("switch", name="List").check()
    page.get_by_label("Start of each entry").fill("dark ")
    fake(page, texts=texts, lines=["dark sea", "dark moss"])
    write_list(page, "3 entries; lines of the training text left out: 2")
    asked = fake(page, texts=["tea", "sky"], lines=[])[0]
    assert (asked["prompt"], asked["stop"], asked["n"]) == ("dark ", "\n", 50)
    assert entries(page) == ["dark tea", "dark deep sea", 'dark a "rose", red']
    assert save_list() == 'dark tea\ndark deep sea\ndark a "rose", red\n'
    page.locator("#list li input").first.focus()
    press(page, "Tab", "Space", "Tab", "Space")
    starred = page.locator("#list li:has(:checked)")
    assert starred.count() == 2
    assert save_list() == 'dark deep sea\ndark a "rose", red\n'
    write_list(page, "2 entries")
    expected = ["dark deep sea", 'dark a "rose", red', "dark tea", "dark sky"]
    assert entries(page) == expected
    page.reload()
    soon(lambda: entries(page) == expected)
    assert starred.count() == 2
    shelf(page, "Empty the list")
    assert entries(page) == []


def test_two_windows_share_a_list(context: Any, page: Any) -> None:
    page.get_by_role("switch", name="List").check()
    fake(page, texts=["tea", "sea"])
    write_list(page, "2 entries")
    other = context.new_page()
    other.goto("")
    soon(lambda: entries(other) == ["tea", "sea"])
    page.locator("#list li").first.click()
    soon(lambda: other.locator("#list li:has(:checked)").all_inner_texts() == ["tea"])
    fake(other, texts=["sky"])
    other.locator("#continue").click()
    soon(lambda: entries(page) == ["tea", "sky"])
