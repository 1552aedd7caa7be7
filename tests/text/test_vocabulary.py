"""Characters, ids and torch-rnn's JSON."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.errors import InputError
from charrnn.text.vocabulary import Vocabulary, encode_for_terminal

TEXTS = st.text(min_size=1)


def of(text: str) -> Vocabulary:
    return Vocabulary(list(dict.fromkeys(text)))


@given(TEXTS, TEXTS)
def test_ids_come_back_as_the_text(known: str, text: str) -> None:
    vocabulary = of(known)
    assert vocabulary.decode(vocabulary.encode(known)) == known
    ids = vocabulary.look_up(text)
    assert [i >= 0 for i in ids] == [c in known for c in text]
    assert vocabulary.decode(ids[ids >= 0]) == "".join(c for c in text if c in known)


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(InputError, match=r"'ü' \(U\+00FC\)"):
        of("abc").encode("aüb")
    with pytest.raises(InputError, match=r"U\+D800"):
        Vocabulary(["a", "\udcc3"]).encode("a\ud800")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it has 8192 MB"),
        ('{"idx_to_token": []}', "idx_to_token is not a table of characters"),
        ('{"idx_to_token": {"1": "ab"}}', "a token that is not a single character"),
        ('{"idx_to_token": ' * 100_000, "recursion"),
        ('{"idx_to_token": {"1": "[200]", "2": "é"}}', "bytes and other characters"),
    ],
)
def test_a_wrong_vocabulary_is_refused_by_name(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    if not content:
        os.truncate(path, 1 << 33)  # which is not read
    with pytest.raises(InputError, match="not a vocabulary") as refused:
        Vocabulary.read_json(path)
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "cp1252", "utf-16-le", None])
def test_any_text_on_any_terminal(encoding: str | None) -> None:
    text = "Zoë שלום 😀\r\n\tend"
    assert encoding != "utf-8" or [*encode_for_terminal([text], encoding)] == [text.encode()]
    text += "\ud800 \udcff \x1b[31m \x07"
    content = b"".join(encode_for_terminal(text, encoding))
    decoded = content.decode(encoding or "ascii")
    assert not set(decoded) & {"\x1b", "\x07"}
    assert "\r\n\tend" in decoded
