"""The index of what is copied: made in Python, looked up in JavaScript."""

from __future__ import annotations

import json
import random
import string

import numpy as np
import pytest

from charrnn.extras.export import writing_page as copies
from charrnn.extras.export.writing_page import LEAST, packed_copies
from charrnn.text.vocabulary import Vocabulary
from tests.page.node import NETWORK, PAGE, run

LOOK_UP = """
const vocabulary = new module_vocabulary.Vocabulary(given.vocabulary);
const copies = new module_copies.Copies(JSON.parse(given.index), vocabulary);
return given.texts.map((text) => copies.of(text));
"""


def drawn(seed: int, length: int, characters: str = string.ascii_letters) -> str:
    return "".join(random.Random(seed).choices(characters, k=length))


def ranges(text: str, vocabulary: Vocabulary, *texts: str) -> list[list[list[int]]]:
    index = packed_copies(text, vocabulary)
    given = {"vocabulary": vocabulary.plain(), "index": index, "texts": texts}
    modules = (PAGE / "copies.js", NETWORK / "vocabulary.js")
    found: list[list[list[int]]] = run(LOOK_UP, *modules, given=given)
    return found


def test_whatever_stands_in_the_text_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_AT_ONCE", 1000)
    text = drawn(1, 20_000)
    passages = [text[at : at + LEAST + at % 7] for at in range(0, 19_000, 37)]
    vocabulary = Vocabulary(list(string.ascii_letters))
    found = ranges(text, vocabulary, text, *passages)
    assert found == [[[0, len(passage)]] for passage in (text, *passages)]


def test_where_it_begins_and_ends_and_what_is_too_short() -> None:
    text = drawn(1, 5000, string.ascii_lowercase)
    other = [drawn(seed, 50, string.ascii_uppercase) for seed in range(3)]
    mixed = other[0] + text[100:160] + other[1] + text[300 : 300 + LEAST - 4] + other[2]
    vocabulary = Vocabulary(list(string.ascii_letters + "🚀"))
    found = ranges(text, vocabulary, mixed, "🚀é" + text[10:40], "", "short")
    assert found == [[[50, 110]], [[3, 33]], [], []]


def test_it_is_hardly_ever_mistaken() -> None:
    vocabulary = Vocabulary(list(string.ascii_letters))
    other = drawn(2, 100_000)
    (found,) = ranges(drawn(1, 50_000), vocabulary, other)
    assert len(found) <= 10  # of one in 65,000 places, by the filter's size


def test_bytes_are_found_as_the_characters_that_they_are() -> None:
    text = "ein größeres Wörterbuch für Müßiggänger"
    tokens = [bytes([b]).decode("ascii", "surrogateescape") for b in range(256)]
    vocabulary = Vocabulary(tokens, is_bytes=True)
    (found,) = ranges(text, vocabulary, "XX" + text[4:30])
    assert found == [[2, 28]]


def test_its_size_follows_the_distinct_passages() -> None:
    vocabulary = Vocabulary(list(string.ascii_letters))
    text = drawn(1, 10_000)
    sizes = [len(json.loads(packed_copies(t, vocabulary))["bits"]) for t in (text, text * 5, "")]
    assert sizes[0] == pytest.approx(10_000 * 4 / np.log(2) / 6, rel=0.01)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)
    assert sizes[2] <= 4
