"""The list: many short entries, of which the good ones are starred, kept and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.fake_server import FakeServer
from tests.browser.steps import press, save, shelf, text_of
from tests.waiting import until

pytestmark = pytest.mark.browser


def entries(page: Any) -> list[str]:
    found: list[str] = page.locator("#list li button :first-child").all_inner_texts()
    return found


def write_list(page: Any, says: str) -> None:
    page.keyboard.press("Control+Enter")
    page.get_by_text(says, exact=True).wait_for()


def test_entries_are_written_starred_kept_and_saved(
    page: Any, server: FakeServer, tmp_path: Path
) -> None:
    def save_list(how: str) -> str:
        page.get_by_role("button", name="Save", exact=True).click()
        return save(page, how, tmp_path / "list").read_bytes().decode()

    server.texts = ["tea", "deep sea", "tea ", 'a "rose", red', "sea", "moss"]
    server.lines = ("dark sea", "dark moss")
    page.get_by_role("switch", name="List").check()
    page.get_by_label("Start of each entry").fill("dark ")
    write_list(page, "3 entries; 2 lines of the training text left out")
    asked = server.asked[0]
    assert (asked["prompt"], asked["stop"], asked["n"]) == ("dark ", "\n", 50)
    assert asked["min_p"] == server.sampling["min_p"]
    assert entries(page) == ["dark tea", "dark deep sea", 'dark a "rose", red']

    assert save_list("Save as text") == 'dark tea\ndark deep sea\ndark a "rose", red\n'
    page.locator("#list li button").first.focus()  # by keyboard from here on
    press(page, "ArrowRight", "Space", "End", "Space", "Home", "Tab")
    starred = page.get_by_role("button", pressed=True)
    assert starred.count() == 2
    assert not page.evaluate("document.activeElement.closest('#list')")
    page.get_by_label("Sort").select_option("A to Z")
    assert entries(page) == ['dark a "rose", red', "dark deep sea", "dark tea"]
    assert save_list("Save as text") == 'dark a "rose", red\ndark deep sea\n'
    csv = 'entry,starred\r\n"dark a ""rose"", red",true\r\n"dark deep sea",true\r\n'
    assert save_list("Save as CSV") == csv
    page.get_by_label("Sort").select_option("as written")

    server.texts, server.lines = ["tea", "sky"], None
    write_list(page, "2 entries")
    expected = ["dark deep sea", 'dark a "rose", red', "dark tea", "dark sky"]
    assert entries(page) == expected
    shelf(page, "New list")
    assert entries(page) == []
    page.reload()
    shelf(page, "List 1")
    assert entries(page) == expected
    assert starred.count() == 2


def test_new_entries_are_like_the_starred(page: Any, server: FakeServer) -> None:
    page.get_by_role("switch", name="List").check()
    server.texts = ["rosella", "marbel"]
    write_list(page, "2 entries")
    page.get_by_role("button", name="rosella").click()
    page.get_by_label("More like the starred").check()
    server.asked.clear()
    server.texts = [f"{n}bort" for n in range(40)] + [f"{n}sella" for n in range(10)]
    write_list(page, "50 entries")
    assert entries(page)[0] == "rosella"
    assert set(entries(page)[1:11]) == {f"{n}sella" for n in range(10)}


def test_the_list_stops_and_the_text_stays(page: Any, server: FakeServer) -> None:
    page.locator("#text").fill("Mine")
    page.get_by_role("switch", name="List").check()
    server.texts, server.delay = ["la " * 60], 0.02
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Stop").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Stopped.").wait_for()
    assert entries(page) == []
    until(lambda: server.dropped == 1)
    server.delay, server.texts, server.lines = 0, ["la"], ("la",)  # nothing of it is worth saving
    write_list(page, "No entries; 1 line of the training text left out")
    page.get_by_role("button", name="Save", exact=True).click()
    for name in ("Save as text", "Empty the list"):
        assert page.get_by_role("button", name=name).is_disabled()
    page.keyboard.press("Escape")
    page.get_by_role("switch", name="List").uncheck()
    assert text_of(page) == "Mine"
