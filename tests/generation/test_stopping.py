"""Where a text stops, in whatever pieces it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from charrnn.generation.stream import Stops

texts = st.text("ab", max_size=12)
stops = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def plainly(text: str, stops: list[str], keep: bool) -> tuple[str, bool]:
    """Character by character, as the definition has it."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - (0 if keep else max(map(len, ending)))], True
    return text, False


@given(st.lists(texts, max_size=6), stops, st.booleans())
def test_the_pieces_make_no_difference(pieces: list[str], stops: list[str], keep: bool) -> None:
    watch, shown, stopped = Stops(stops, keep=keep), "", False
    for piece in pieces:
        new, stopped = watch.take(piece)
        shown += new
        if stopped:
            break
    if not stopped:
        shown += watch.rest()
    assert (shown, stopped) == plainly("".join(pieces), stops, keep)


def test_only_what_may_be_a_beginning_is_held_back() -> None:
    watch = Stops(["abc"])
    assert watch.take("xa") == ("x", False)
    assert watch.take("b") == ("", False)
    assert watch.take("b") == ("abb", False)
    assert watch.take("abcd") == ("", True)
