"""A text in the characters that a model knows, and the passage that it reads before it writes."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.text import prompt
from charrnn.text.vocabulary import Vocabulary

ASCII = Vocabulary(list(string.ascii_letters + " \n'\".-"))


def test_straight_quotes_become_the_curly_ones_of_a_vocabulary() -> None:
    vocabulary = Vocabulary(list("abcno, (.)“”’t"))
    typed, curly = '"a on," b can\'t. ("a")', "“a on,” b can’t. (“a”)"
    assert prompt.fit_text(typed, vocabulary, "error").text == curly
    assert prompt.fit_text('"a"', Vocabulary(list("a")), "error") == ('"a"', "")


@pytest.mark.parametrize(
    ("text", "skipped", "replaced"),
    [
        ("Zoë", "Zo", "Zoe"),
        ("don’t “go”", 'don\'t "go"', 'don\'t "go"'),
        ("a—b…", "a-b...", "a-b..."),
        ("a\tb\u00a0c\r\nd", "abc\nd", "a b c\nd"),
        ("ﬁn Straße Ⅷ", "n Strae ", "fin Strasse VIII"),
        ("smile 😀שלום\ud800", "smile ", "smile "),
    ],
)
def test_unknown_characters_are_skipped_or_replaced(text: str, skipped: str, replaced: str) -> None:
    assert prompt.fit_text(text, ASCII, "skip").text == skipped
    assert prompt.fit_text(text, ASCII, "replace").text == replaced
    marks = "".join(c for c in text if c in prompt.KEYBOARD_MARKS)
    assert marks or prompt.fit_text(text, ASCII, "error") == (text, "")


def test_unknown_characters_are_named_once_and_the_other_case_replaces_them() -> None:
    assert prompt.fit_text("ëaëé", ASCII, "skip").unknown == "ëé"
    assert prompt.fit_text("plain", ASCII, "replace") == ("plain", "")
    of_bytes = Vocabulary.from_tokens(["a", "[195]", "[169]"])
    assert prompt.fit_text("aéè", of_bytes, "skip") == ("aé", "è")
    assert prompt.fit_text("Éa", Vocabulary(list("ea")), "replace").text == "ea"
    assert prompt.fit_text("ea", Vocabulary(list("EA")), "replace").text == "EA"


LINES = "".join(f"line {n} of this text\n" for n in range(100))
PROSE = "The sun was not yet\nup. They went out into the\nnight. Then nobody spoke for\na mile.\n"
METHOD = "    def show(self):\n        x = 1\n\n        return x\n\n"
CODE = "class Long:\n" + 40 * METHOD + "\ndef main():\n" + METHOD[20:]


def test_the_primer_is_whole_lines_near_the_middle_of_a_text() -> None:
    chosen = prompt.choose_primer(LINES[prompt.get_primer_slice(len(LINES))])
    assert chosen in LINES
    assert chosen.startswith("line")
    assert chosen.endswith("line 49 of this text\n")
    assert prompt.PRIMER_CHARACTERS // 2 < len(chosen) <= prompt.PRIMER_CHARACTERS


# texts, and what follows the primer
BEGUN: dict[str, str | tuple[str, ...]] = {
    20 * PROSE + "\nA paragraph. It\n" + 20 * PROSE: "A paragraph.",
    20 * PROSE.replace("mile", "Mr"): (" They went", " Then nobody"),
    20 * PROSE.replace("mile.", "“mile.”)"): "The sun",
    "    " + "    ".join((20 * PROSE).splitlines(keepends=True)): "    The sun",
    20 * "He came to them.\tHe saw\nmany e.g. us\n": "\tHe saw",
    CODE: "def main",
    CODE.replace("def main", "    def main"): "    def ",
    40 * "main {\n  a: b;\n  c: d;\n}\n": "main {",
    90 * "今天天气很好。“我们去公园！”散步": ("今天", "散步"),
    90 * "no end ": " ",
}


@pytest.mark.parametrize(("text", "next_text"), BEGUN.items())
def test_a_text_begins_after_the_primer(text: str, next_text: str | tuple[str, ...]) -> None:
    chosen = prompt.choose_primer(text)
    after = [text[at:] for at in range(len(text)) if text[:at].endswith(chosen)]
    assert any(each.startswith(next_text) for each in after)


@given(st.text("ab. \n", max_size=1000))
def test_the_primer_is_a_part_of_any_text(text: str) -> None:
    chosen = prompt.choose_primer(text)
    assert chosen in text
    assert bool(chosen) == bool(text)
    assert len(chosen) <= prompt.PRIMER_CHARACTERS


def test_a_model_reads_the_known_characters_of_its_primer() -> None:
    vocabulary, longest = Vocabulary(["a", "b", "\n"]), [0] * prompt.PRIMER_CHARACTERS
    for primer, ids in (("a?b", [0, 1, 2]), ("a" * 10**6, [*longest, 2]), ("???", [])):
        assert list(prompt.encode_primer({"primer": primer}, vocabulary)) == ids
