"""Characters, ids and torch-rnn's JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.errors import InputError
from charrnn.text.vocabulary import Vocabulary

TEXTS = st.text(min_size=1)


def of(text: str) -> Vocabulary:
    return Vocabulary(list(dict.fromkeys(text)))


@given(TEXTS)
def test_decoding_gives_back_what_was_encoded(text: str) -> None:
    vocabulary = of(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text


@given(st.binary(min_size=1))
def test_bytes_come_back_as_bytes(data: bytes) -> None:
    text = data.decode("ascii", "surrogateescape")
    vocabulary = Vocabulary(list(dict.fromkeys(text)), is_bytes=True)
    decoded = vocabulary.decode(vocabulary.encode(text))
    assert decoded.encode("ascii", "surrogateescape") == data


@given(TEXTS, TEXTS)
def test_looking_up_marks_what_is_lacking(known: str, text: str) -> None:
    vocabulary = of(known)
    ids = vocabulary.look_up(text)
    assert [i >= 0 for i in ids] == [c in known for c in text]
    assert vocabulary.decode(ids[ids >= 0]) == "".join(c for c in text if c in known)


def test_text_is_encoded_byte_by_byte_where_the_tokens_are_bytes() -> None:
    vocabulary = Vocabulary(["a", "\udcc3", "\udca9"], is_bytes=True)
    assert vocabulary.encode("é").tolist() == [1, 2]
    assert vocabulary.look_up("aèé").tolist() == [0, 1, -1, 1, 2]


@given(TEXTS)
def test_the_json_comes_back_and_is_torch_rnns(text: str) -> None:
    vocabulary = of(text)
    content = _written(vocabulary)
    assert sorted(content) == ["idx_to_token", "token_to_idx"]
    assert [content["idx_to_token"][str(i + 1)] for i in range(len(vocabulary))] == (
        vocabulary.characters
    )
    assert content["token_to_idx"] == {c: i for i, c in enumerate(vocabulary.characters, 1)}
    assert Vocabulary.from_tokens(vocabulary.tokens()) == vocabulary


def test_bytes_above_127_are_numbers_in_the_json(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["[", "\udcc8", "\n"], is_bytes=True)
    vocabulary.write_json(tmp_path / "v.json")
    content = json.loads((tmp_path / "v.json").read_text())
    assert content["token_to_idx"] == {"[": 1, "[200]": 2, "\n": 3}
    assert Vocabulary.read_json(tmp_path / "v.json") == vocabulary


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(InputError, match=r"'ü' \(U\+00FC\)"):
        of("abc").encode("aüb")
    with pytest.raises(InputError, match=r"U\+D800"):
        Vocabulary(["a"], is_bytes=True).encode("a\ud800")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '{"idx_to_token": []}',
        '{"idx_to_token": {}}',
        '{"idx_to_token": {"1": "a", "3": "b"}}',
        '{"idx_to_token": {"1": "ab"}}',
        '{"idx_to_token": {"1": "a", "2": "a"}}',
        '{"idx_to_token": {"1": 5}}',
        "[" * 100_000,
        '{"idx_to_token": ' * 100_000,
        f'{{"idx_to_token": {{"1": {"9" * 10_000}}}}}',
        f'{{"idx_to_token": {{"1": "{"ab" * 100_000}"}}}}',
        f'{{"{"x" * 100_000}": 1}}',
        '{"idx_to_token": {"1": "[٢٠٠]"}}',
    ],
)
def test_what_is_no_vocabulary_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(InputError, match="not a vocabulary") as refused:
        Vocabulary.read_json(path)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_numbers_of_thousands_of_digits_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(f'{{"token_to_idx": {{"a": {"9" * 10_000}}}, "idx_to_token": {{"1": "a"}}}}')
    assert Vocabulary.read_json(path).characters == ["a"]


def test_a_json_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    with open(path, "wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(InputError, match="it has 8192 MB"):
        Vocabulary.read_json(path)


def test_a_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Vocabulary.read_json(tmp_path / "v.json")


def _written(vocabulary: Vocabulary) -> dict[str, dict[str, object]]:
    """The JSON of a vocabulary, parsed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.json")
        vocabulary.write_json(path)
        assert Vocabulary.read_json(path) == vocabulary
        return json.loads(path.read_text())
