"""Text for a terminal."""

from __future__ import annotations

import pytest

from charrnn.text.vocabulary import TerminalText

TEXT = "Zoë שלום 😀\r\n\tend"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "cp1252", "utf-16-le", None])
def test_any_text_on_any_terminal(encoding: str | None) -> None:
    shown = TerminalText(encoding)
    text = TEXT + "\ud800 \udcff \x1b[31m \x07"
    content = b"".join(shown.encoded(c) for c in text) + shown.encoded("", last=True)
    decoded = content.decode(encoding or "ascii")
    assert "\x1b" not in decoded
    assert "\x07" not in decoded
    assert "\r\n\tend" in decoded


def test_utf_8_is_itself() -> None:
    assert TerminalText("utf-8").encoded(TEXT) == TEXT.encode()


def test_a_character_of_bytes_may_come_in_pieces() -> None:
    shown = TerminalText("latin-1")
    assert shown.encoded("\udcc3") == b""
    assert shown.encoded("\udcab!") == b"\xeb!"
    assert shown.encoded("\udcc3", last=True) == b"?"
