"""Wrapped prose is joined, and no other text loses a line."""

from __future__ import annotations

import random
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.__main__ import main
from charrnn.data import open_data
from charrnn.options.datasets import DataOptions
from charrnn.text.background import Background
from charrnn.text.preprocessing import prepare_files
from charrnn.text.sources import read_pieces
from charrnn.text.wrap import get_wrap, is_wrapped, join_lines
from tests.conftest import Capture
from tests.text.conftest import read_text

SENTENCES = {
    "English": (
        "The rain had stopped before anyone in the house was awake.",
        "She put the letter, still unopened, between two pages of the almanac and went down.",
        "“You might have told me,” he said; but nobody had thought of it until Sunday.",
        "Mr. Hale counted the sheep twice that morning and found one too many.",
        "It was a well-known road, and yet the carriage lost its way among the hills.",
        "In the end they sold the boat, kept the oars, and walked to Whitby along the shore.",
    ),
    "German": (
        "Der Regen hatte aufgehört, bevor im Hause jemand wach war.",
        "Sie legte den Brief ungeöffnet zwischen zwei Seiten des Kalenders und ging hinunter.",
        "»Das hättest du mir sagen können«, meinte er; doch daran hatte niemand gedacht.",
        "Der Schäfer zählte an diesem Morgen zweimal seine Tiere und fand eines zu viel.",
        "Für die Haupt- und Nebenwege hatte die Gemeinde seit Jahren kein Geld ausgegeben.",
        "Am Ende verkauften sie das Boot, behielten die Ruder und liefen am Ufer nach Hause.",
    ),
    "Italian": (
        "La pioggia era cessata prima che in casa qualcuno si svegliasse.",
        "Mise la lettera, ancora chiusa, tra due pagine dell’almanacco e scese le scale.",
        "Disse piano — ma lo sentirono tutti — che avrebbe preso il treno di domenica.",
        "Il pastore contò due volte le pecore quella mattina e ne trovò una di troppo.",
        "Era una strada ben nota, eppure la carrozza si perse tra le colline di Fiesole.",
        "Alla fine vendettero la barca, tennero i remi e tornarono a piedi lungo la riva.",
    ),
}
WORDS = sorted({word.strip("“”,.;") for word in " ".join(SENTENCES["English"]).split()})


def make_paragraphs(language: str = "English", count: int = 20, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(SENTENCES[language], k=draw.randint(1, 7))) for _ in range(count)]


def wrap(paragraphs: list[str], width: int = 70, indent: str = "", between: str = "\n\n") -> str:
    lines = (textwrap.fill(p, width, initial_indent=indent) for p in paragraphs)
    return between.join(lines) + "\n"


def repeat(template: str, count: int = 150, words: int = 8) -> str:
    """Repeat a text with random words in the place of § and random numbers in the place of °."""
    draw, fill = random.Random(1), {}
    fill["§"] = lambda: " ".join(draw.choices(WORDS, k=draw.randint(words - 2, words + 2)))
    fill["°"] = lambda: str(draw.randint(10, 59))
    return re.sub("[§°]", lambda mark: fill[mark[0]](), template * count)


def make_verse(feet: int = 10, capital: bool = True) -> str:
    """Make lines of about as many syllables, which often end with a sign."""
    draw, text = random.Random(2), ""
    for i in range(200):
        line = ""
        while len(line) < 4 * feet:
            line += draw.choice(WORDS).lower() + " "
        text += (line.capitalize() if capital else line).strip() + draw.choice(",;. ").strip()
        text += "\n\n" if i % 14 == 13 else "\n"
    return text


MAIL = (
    "From: Ann <ann@example.org>\nSubject: §\nDate: Mon, ° Mar 2025\n\n> §\n> §\n\n§ §\n\nAnn\n\n"
)
NOT_WRAPPED = {
    "verse": make_verse(),
    "long verse": make_verse(15),
    "hexameters": make_verse(16, capital=False),
    "a play": "\n".join(f"HAMLET:\n{stanza}\n" for stanza in make_verse(11).split("\n\n")),
    "haiku": repeat("§\n§\n§\n\n", words=4),
    "code": Path(__file__).read_text("utf-8"),
    "C": repeat("/* § § */\nstatic int f°(void) {\n    return §;\n}\n"),
    "names": repeat("§\n", words=3),
    "titles": repeat("§ §\n").title(),
    "sentences": "\n".join(SENTENCES["English"] * 30),
    "Markdown": repeat("## §\n\n§ §:\n\n- §\n- § §\n\n```\nf(§)\n```\n"),
    "chat": repeat("Ann: § §\nBen: §\n"),
    "subtitles": repeat("°\n00:°:04,120 --> 00:°:06,010\n§\n§\n\n", words=5),
    "mail": repeat(MAIL),
    "a log": repeat("2025-03-° 10:°:01 INFO server[°]: § §\n"),
    "a log of one width": "".join(f"{line:.79}\n" for line in repeat("10:° § § §\n").split("\n")),
    "a table": "".join(f"{a:<20}{b:>10}{b * 7:>40}\n" for a in WORDS for b in range(9)),
    "CSV": repeat("°,§,§,°\n"),
    "Chinese": textwrap.fill("今天天气很好我们去公园散步他说明天还要来看书" * 200, 60),
    "paragraphs of one line": "\n\n".join(make_paragraphs()),
    "a glossary": repeat("§: § §\n", words=3),
    "HTML": repeat("<p>§</p>\n<ul>\n<li>§ §</li>\n</ul>\n"),
    "a bibliography": repeat("@book{b°,\n  title = {§},\n  year = 20°\n}\n"),
    "too little": wrap(make_paragraphs(count=3)),
}


@pytest.mark.parametrize("text", NOT_WRAPPED.values(), ids=NOT_WRAPPED)
def test_other_texts_are_not_wrapped_prose(text: str) -> None:
    assert not is_wrapped(text)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("width", [60, 66, 72])
@pytest.mark.parametrize(("indent", "between"), [("", "\n\n"), ("   ", "\n")])
def test_wrapped_prose_is_joined(language: str, width: int, indent: str, between: str) -> None:
    paragraphs = make_paragraphs(language, count=40)
    text = wrap(paragraphs, width, indent, between)
    joined = between.join(indent + paragraph for paragraph in paragraphs) + "\n"
    assert is_wrapped(text)
    assert join_lines(text) == joined == join_lines(joined)
    assert join_lines(text.replace("\n", " \r\n")).replace(" \r\n", "\n") == joined


def test_other_lines_in_wrapped_prose_stay() -> None:
    prose = wrap(make_paragraphs())
    verses = "\n\nCHAPTER I\nThe Beginning\n\n  To be, or not to be:\n  that is the question\n\n"
    items = "1. " + textwrap.fill(" ".join(make_paragraphs(count=2)), 70) + "\n2. the other\n\n"
    joined = join_lines(prose + verses + items + prose)
    assert verses in joined
    assert "\n2. the other\n" in joined
    assert joined.count("\n") == join_lines(prose).count("\n") * 2 + verses.count("\n") + 3


@pytest.mark.parametrize(
    ("cut", "joined"),
    [
        ("remem-\nber", "remember"),
        ("Remem-\nber", "Remember"),
        ("well-\nknown", "well-known"),
        ("out-\nlast", "out-last"),
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
    assert main(["preprocess", "input_txt=x.txt"]) == 0  # keeps the lines
    capsys.readouterr()
    found = {wrap: prepare_files(DataOptions("x.txt", wrap=wrap)) for wrap in ("auto", "keep")}
    assert capsys.readouterr().err.splitlines()[1:] == [
        "the text is hard-wrapped prose, so the lines of each paragraph are joined; the file stays "
        "as it is (data.wrap=keep keeps the lines)"
    ]
    assert found["keep"][0] == Path("x.h5")
    assert read_text(found["auto"][0]) == joined
    assert [open_data(*pair).facts["wrap"] for pair in found.values()] == ["join", "keep"]
    data = open_data(*found["auto"])
    assert [*read_pieces("x.txt", "utf-8", get_wrap(data.facts))] == [joined]
    background = Background(["x.txt"], "utf-8", data.vocabulary, "auto")
    assert data.vocabulary.decode(background.read_ids(10**6)) == joined
    # Each file is judged for itself, and a text that is not wrapped has the file of keep.
    both = prepare_files(DataOptions(["verse.txt", "x.txt"]))
    assert read_text(both[0]) == make_verse() + joined
    assert main(["preprocess", "input_txt=verse.txt"]) == 0
    assert prepare_files(DataOptions("verse.txt"))[0] == Path("verse.h5")
