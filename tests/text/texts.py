"""Texts that Python and the page must judge alike."""

from __future__ import annotations

import random
import re
import textwrap
from pathlib import Path

TALES = {
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
}
WORDS = sorted({word.strip("“”,.;") for word in " ".join(TALES["English"]).split()})


def make_paragraphs(language: str = "English", count: int = 20, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(TALES[language], k=draw.randint(1, 7))) for _ in range(count)]


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
    "hexameters": make_verse(16, capital=False),
    "a play": "\n".join(f"HAMLET:\n{stanza}\n" for stanza in make_verse(11).split("\n\n")),
    "haiku": repeat("§\n§\n§\n\n", words=4),
    "code": Path(__file__).read_text("utf-8"),
    "names": repeat("§\n", words=3),
    "sentences": "\n".join(TALES["English"] * 30),
    "Markdown": repeat("## §\n\n§ §:\n\n- §\n- § §\n\n```\nf(§)\n```\n"),
    "chat": repeat("Ann: § §\nBen: §\n"),
    "subtitles": repeat("°\n00:°:04,120 --> 00:°:06,010\n§\n§\n\n", words=5),
    "mail": repeat(MAIL),
    "a log of one width": "".join(f"{line:.79}\n" for line in repeat("10:° § § §\n").split("\n")),
    "a table": "".join(f"{a:<20}{b:>10}{b * 7:>40}\n" for a in WORDS for b in range(9)),
    "Chinese": textwrap.fill("今天天气很好我们去公园散步他说明天还要来看书" * 200, 60),
    "paragraphs of one line": "\n\n".join(make_paragraphs()),
    "too little": wrap(make_paragraphs(count=3)),
}


PROSE = "The sun was not yet\nup. They went out into the\nnight. Then nobody spoke for\na mile.\n"
METHOD = "    def show(self):\n        x = 1\n\n        return x\n\n"
CODE = "class Long:\n" + 40 * METHOD + "\ndef main():\n" + METHOD[20:]


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

# texts, and the pairs whose quotes close in them
QUOTED = {
    '"Yes," he said. "No."\nHe left.\n' * 3: ['""'],
    '"Yes," he said. "No."\n' * 2: [],  # too few
    '"Yes," he said.\n' * 9 + '"I speak.\n': ['""'],  # and go on in the next paragraph
    '"Yes," he said.\n' * 8 + '"I speak.\n': [],
    '"I quote: "You\n' * 3: [],  # opened twice
    'And so." He left.\n' * 3: [],  # closed, but not opened
    "„Ja“, sagte er (leise).\n" * 3: ["„“", "()"],
    "„Tak” (nie).\n" * 3: ["„”", "()"],
    "»Ja«, sagte er.\n1) Nein.\n" * 3: ["»«"],
    "« Oui », dit-il.\n「是。」\n" * 3: ["«»", "「」"],
}
