"""A page that writes by itself: the writing page of `charrnn serve`, with the model in it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import asdict, dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from charrnn.page.packing import Chosen, packed, packed_counts
from charrnn.page.single_file import PAGE, joined, replaced, single_file, style_of
from charrnn.text.unknown_characters import PLAIN
from charrnn.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class About:
    """What the page says of itself, as plain text.

    Attributes:
        card: names and values.
        even: whether the text is best read in letters of one width, as code is.
    """

    title: str
    card: list[tuple[str, str]]
    licence: str
    even: bool = False


def writing_page(chosen: Chosen, about: About, copies: str | None = None) -> str:
    """The page as HTML, of the network with its counts.

    Args:
        copies: the index of the training text (`packed_copies`), to underline what is copied.
    """
    facts = {"about": asdict(about), "written": PLAIN}
    model, counts = packed(chosen.model, chosen.precision, facts), chosen.model.counts
    # files may share one storage, in which each page keeps its draft under a name of its own
    name = hashlib.sha256(model.encode()).hexdigest()[:12]
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    for old, new in (
        ('<html lang="en">', f'<html lang="en" data-keep="charrnn.{name}">'),
        ("<title>Write with charrnn</title>", f"<title>{escape(about.title)}</title>"),
        ('  <link rel="stylesheet" href="page/palette.css">\n', ""),
        ('  <link rel="stylesheet" href="page/style.css">\n', ""),
        ('  <script type="module" src="page/main.js"></script>\n', ""),
    ):
        html = replaced(html, old, new)
    return single_file(
        html,
        style=style_of(PAGE),
        script=joined(PAGE / "main-network.js"),
        data={
            "packed-model": model,
            "packed-counts": "null" if counts is None else packed_counts(counts),
            "packed-copies": copies or "null",
        },
    )


# -- The index of a training text that a page carries, to underline what is copied. It is a Bloom
# filter (Bloom 1970) of all passages of 17 characters: the text cannot be read from it. A passage
# of 20 characters or more counts as copied where each of the passages in it is in the filter. One
# in sixteen that are not in the text is taken for one that is; four in a row, which it takes, are
# one in 65,000. `charrnn/page/copies.js` looks up.


PASSAGE = 17  # characters
LEAST = 20  # as many as the writing page underlines with a server
FUNCTIONS = 4  # bits that are set for a passage: half of all are set, so 1 in 2 ** 4 is mistaken
_BITS_A_PASSAGE = FUNCTIONS / math.log(2)
_AT_ONCE = 1 << 20  # characters

_Words = npt.NDArray[np.uint32]


def packed_copies(text: str, vocabulary: Vocabulary) -> str:
    """The index as JSON, some eight characters for each of the text's."""
    ids = vocabulary.look_up(text)
    hashes = np.concatenate(
        [
            _hashes(ids[start : start + _AT_ONCE + PASSAGE - 1])
            for start in range(0, max(len(ids) - PASSAGE + 1, 0), _AT_ONCE)
        ]
        or [np.empty((0, 2), np.uint32)]
    )
    distinct = np.unique(hashes.view(np.uint64)).view(np.uint32).reshape(-1, 2)
    bits = np.zeros(max(math.ceil(len(distinct) * _BITS_A_PASSAGE / 8), 1) * 8, bool)
    for i in range(FUNCTIONS):
        places = distinct[:, 0] + np.uint32(i) * distinct[:, 1]  # modulo 2 ** 32
        bits[places % len(bits)] = True
    index = {
        "bits": base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode(),
        "functions": FUNCTIONS,
        "passage": PASSAGE,
        "least": LEAST,
    }
    return json.dumps(index, separators=(",", ":"))


def _hashes(ids: npt.NDArray[np.int64]) -> _Words:
    """Two hashes (n, 2) of each of the n passages of some ids."""
    words = ids.astype(np.uint32) + np.uint32(1)
    count = len(words) - PASSAGE + 1
    columns = []
    for multiplier in (0x01000193, 0x85EBCA6B):
        column = np.zeros(count, np.uint32)
        for at in range(PASSAGE):
            column *= np.uint32(multiplier)
            column += words[at : at + count]
        columns.append(_mixed(column))
    columns[1] |= np.uint32(1)  # so that its multiples differ
    return np.stack(columns, axis=1)


def _mixed(column: _Words) -> _Words:
    """The end of MurmurHash3, which spreads a difference in any bit over all."""
    column = (column ^ (column >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    column = (column ^ (column >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    mixed: _Words = column ^ (column >> np.uint32(16))
    return mixed
