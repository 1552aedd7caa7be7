"""Wrapped prose is joined, and no other text loses a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.data import open_data
from charrnn.options.datasets import DataOptions
from charrnn.text.background import Background
from charrnn.text.preprocessing import prepare_files
from charrnn.text.sources import read_pieces
from charrnn.text.wrap import get_wrap, is_wrapped, join_lines
from tests.conftest import Capture
from tests.text.conftest import read_text
from tests.text.texts import NOT_WRAPPED, TALES, make_paragraphs, make_verse, wrap


@pytest.mark.parametrize("text", NOT_WRAPPED.values(), ids=NOT_WRAPPED)
def test_other_texts_are_not_wrapped_prose(text: str) -> None:
    assert not is_wrapped(text)


@pytest.mark.parametrize("language", TALES)
@pytest.mark.parametrize("width", [60, 66, 72])
@pytest.mark.parametrize(("indent", "between"), [("", "\n\n"), ("   ", "\n")])
def test_wrapped_prose_is_joined(language: str, width: int, indent: str, between: str) -> None:
    paragraphs = make_paragraphs(language, count=40)
    text = wrap(paragraphs, width, indent, between)
    joined = between.join(indent + paragraph for paragraph in paragraphs) + "\n"
    assert is_wrapped(text)
    assert join_lines(text) == joined == join_lines(joined)
    assert join_lines(text.replace("\n", " \r\n")).replace(" \r\n", "\n") == joined


@pytest.mark.parametrize(
    ("cut", "joined"),
    [
        ("remem-\nber", "remember"),
        ("well-\nknown", "well-known"),
        ("spring-\nor autumn", "spring- or autumn"),
        ("then--\nnever", "then--never"),
    ],
)
def test_a_cut_word_is_joined_as_the_text_has_it(cut: str, joined: str) -> None:
    words = "they remember a well-known time of summer- or winter--then--cold"
    first, last = cut.split("\n")
    paragraph = f"{words[: 69 - len(first)]} {first}\n{last} {words[:60]} and\nlastly the end."
    text = f"{wrap(make_paragraphs())}\n{words}\n\n{paragraph}\n"
    assert f" {joined} they" in join_lines(text)


@given(st.text(st.sampled_from("aB. -—1\n\r\t"), max_size=300), st.integers(1, 9))
def test_only_white_space_and_hyphens_change(text: str, copies: int) -> None:
    joined = join_lines(text * copies)
    assert "".join(joined.replace("-", "").split()) == "".join(
        (text * copies).replace("-", "").split()
    )


def test_a_text_is_joined_once_and_its_model_reads_so(
    folder: Path, cache: Path, capsys: Capture
) -> None:
    Path("verse.txt").write_text(make_verse())
    Path("x.txt").write_text(wrap(make_paragraphs()))
    joined = "\n\n".join(make_paragraphs()) + "\n"
    found = {wrap: prepare_files(DataOptions("x.txt", wrap=wrap)) for wrap in ("auto", "keep")}
    assert capsys.readouterr().err.splitlines()[1] == (
        "the text is hard-wrapped prose, so the lines of each paragraph are joined; the file stays "
        "as it is (data.wrap=keep keeps the lines)"
    )
    assert read_text(found["auto"][0]) == joined
    assert [open_data(*pair).facts["wrap"] for pair in found.values()] == ["join", "keep"]
    data = open_data(*found["auto"])
    assert [*read_pieces("x.txt", "utf-8", get_wrap(data.facts))] == [joined]
    background = Background(["x.txt"], "utf-8", data.vocabulary, "auto")
    assert data.vocabulary.decode(background.read_ids(10**6)) == joined
    # Each file is judged for itself, and a text that is not wrapped has the file of keep.
    both = prepare_files(DataOptions(["verse.txt", "x.txt"]))
    assert read_text(both[0]) == make_verse() + joined
    verse = prepare_files(DataOptions("verse.txt", wrap="keep"))
    assert prepare_files(DataOptions("verse.txt")) == verse
