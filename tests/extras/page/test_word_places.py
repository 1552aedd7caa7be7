"""The places of words in a text, and words of bytes as text, in node."""

from __future__ import annotations

from tests.extras.page.node import NETWORK, PAGE, run


def test_a_word_has_the_blank_before_it() -> None:
    script = """return Array.from(Array(given.length).keys(), (place) =>
        given.slice(...module_word_place.findWordPlace(given, place)));"""
    words = run(script, PAGE / "word-place.js", given="Old  «man», é\nI")
    assert words == [
        *["Old"] * 3, "  ", " «", " «", *["man"] * 3, "»", ",", " é", " é", "\n", "I",
    ]  # fmt: skip


def test_words_of_bytes_are_text() -> None:
    script = """const tokens = ["a", ...[195, 169, 240, 159, 145, 169].map((byte) => `[${byte}]`)];
        const vocabulary = new module_vocabulary.Vocabulary({ tokens, bytes: true });
        return [given, "a\\udcc3"].map((text) => vocabulary.join(vocabulary.split(text)));"""
    assert run(script, NETWORK / "vocabulary.js", given="éa👩") == ["éa👩", "a\ufffd"]
