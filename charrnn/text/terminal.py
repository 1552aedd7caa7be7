"""Text for a terminal, whatever it can show."""

from __future__ import annotations

import codecs

from charrnn.text.vocabulary import as_bytes

# Control characters, which could move the cursor or worse, as pictures of themselves; line
# breaks and tabs are what they are. Those above 127 have no pictures.
_PICTURES = {
    **{c: 0x2400 + c for c in range(32) if chr(c) not in "\t\n\r"},
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    0x7F: 0x2421,
}


class TerminalText:
    """Encodes a text, piece by piece, for a terminal.

    What the terminal's encoding lacks is shown as a question mark, a byte that is no text as
    U+FFFD. A character of a model of bytes may come in several pieces.
    """

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding or "ascii"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def encoded(self, text: str, last: bool = False) -> bytes:
        """The bytes that show this much more text; with `last` also what is incomplete."""
        decoded = self._decoder.decode(as_bytes(text), last)
        return decoded.translate(_PICTURES).encode(self._encoding, "replace")
