"""Where new text stops: before the first of some texts, however it comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Watches one text for the first of `texts` that is complete in it.

    What may be the beginning of one of them is held back until that is known, so that the
    pieces in which the text comes make no difference.

    Args:
        texts: each of one character or more; none: the text goes on to its end.
        keep: whether the text that stops is itself still shown.
    """

    def __init__(self, texts: Sequence[str], *, keep: bool = False) -> None:
        self._texts = texts
        self._keep = keep
        self._held = ""

    def take(self, text: str) -> tuple[str, bool]:
        """What can be shown after this much more text, and whether it has stopped."""
        text = self._held + text
        found = [(at + len(t), at) for t in self._texts if (at := text.find(t)) >= 0]
        if found:
            end, start = min(found)
            return text[: end if self._keep else start], True
        shown = len(text) - max((_overlap(text, t) for t in self._texts), default=0)
        self._held = text[shown:]
        return text[:shown], False

    def rest(self) -> str:
        """What was held back, when nothing follows any more."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
