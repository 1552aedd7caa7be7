"""The characters that a model knows, and their ids.

In memory ids count from 0: the rows of the embedding, the columns of the logits.
In files they count from 1, since torch-rnn's do; `FIRST_FILE_ID` is that difference.

A vocabulary of bytes (``encoding=bytes``) has one token a byte. In Python a byte
above 127 is the lone surrogate that ``surrogateescape`` makes of it, in JSON it is
``[200]``, as torch-rnn writes it, and on standard output it is the byte itself.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, shorten
from charrnn.files import require_regular_file

FIRST_FILE_ID = 1
LARGEST_JSON = 1 << 26  # bytes: more than a vocabulary of every character there is
_BYTE_TOKEN = re.compile(r"\[([0-9]{1,3})\]")


@dataclass(frozen=True)
class Vocabulary:
    """The characters of a model, in the order of their ids.

    Attributes:
        characters: one string of length 1 for each id.
        is_bytes: whether each token is a byte rather than a Unicode character.
    """

    characters: list[str]
    is_bytes: bool = False
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {c: i for i, c in enumerate(self.characters)})
        if not self.characters:
            raise InputError("a vocabulary needs at least one character")
        if len(self._ids) != len(self.characters):
            raise InputError("a vocabulary holds the same character twice")
        if any(len(c) != 1 for c in self.characters):
            raise InputError("a vocabulary holds a token that is not one character")

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        return character in self._ids

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Ids (from 0) of a text's characters, shape (length,).

        Raises:
            InputError: names the first character that the vocabulary lacks.
        """
        text = self._as_tokens(text)
        try:
            return np.fromiter((self._ids[c] for c in text), np.int64, len(text))
        except KeyError as unknown:
            character = unknown.args[0]
            raise InputError(
                f"the character {character!r} (U+{ord(character):04X}) is not among the "
                f"{len(self)} that this model was trained on; leave it out or replace it"
            ) from None

    def look_up(self, text: str) -> npt.NDArray[np.int64]:
        """As `encode` gives them, with -1 for what the vocabulary lacks."""
        text = self._as_tokens(text)
        return np.fromiter((self._ids.get(c, -1) for c in text), np.int64, len(text))

    def _as_tokens(self, text: str) -> str:
        """The text in the characters that tokens are: of a vocabulary of bytes, its bytes."""
        if self.is_bytes:
            # a surrogate that stands for no byte stays, and is found unknown
            with contextlib.suppress(UnicodeEncodeError):
                return text.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")
        return text

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids (from 0)."""
        characters = self.characters
        return "".join([characters[i] for i in ids])

    def tokens(self) -> list[str]:
        """The characters as torch-rnn's JSON writes them: bytes above 127 as ``[200]``."""
        if not self.is_bytes:
            return list(self.characters)
        return [c if c < "\x80" else f"[{ord(c) - 0xDC00}]" for c in self.characters]

    @classmethod
    def from_tokens(cls, tokens: Sequence[str]) -> Vocabulary:
        """The inverse of `tokens`."""
        is_bytes = any(len(t) > 1 and _BYTE_TOKEN.fullmatch(t) for t in tokens)
        return cls([_character(t) for t in tokens], is_bytes)

    def to_dict(self) -> dict[str, Any]:
        """As files of models hold it: plain values, from which `from_dict` makes it again."""
        return {"tokens": self.tokens(), "bytes": self.is_bytes}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Vocabulary:
        """The inverse of `to_dict`.

        Raises:
            KeyError, ValueError, InputError: it is no vocabulary.
        """
        tokens, is_bytes = content["tokens"], content["bytes"]
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("its tokens are no list of texts")
        if not isinstance(is_bytes, bool):
            raise ValueError(f"its bytes is {is_bytes!r}")
        vocabulary = cls.from_tokens(tokens)
        characters = vocabulary.characters
        if is_bytes and not all(c < "\x80" or "\udc80" <= c <= "\udcff" for c in characters):
            raise ValueError("its bytes are none")
        # from_tokens cannot tell a vocabulary of bytes when all of them are below 128
        return replace(vocabulary, is_bytes=is_bytes)

    def write_json(self, path: Path) -> None:
        """Write torch-rnn's JSON beside the HDF5 file."""
        pairs = list(enumerate(self.tokens(), start=FIRST_FILE_ID))
        content = {
            "token_to_idx": {token: i for i, token in pairs},
            "idx_to_token": {str(i): token for i, token in pairs},
        }
        path.write_text(json.dumps(content), encoding="ascii")

    @classmethod
    def read_json(cls, path: Path) -> Vocabulary:
        """Read torch-rnn's JSON.

        Raises:
            InputError: names the file and what is wrong with it.
        """
        hint = "`charrnn preprocess` writes it beside the HDF5"
        size = require_regular_file(path, hint).st_size
        try:
            if size > LARGEST_JSON:
                raise ValueError(f"it has {size >> 20} MB")
            # the numbers in it are not used, and one may have thousands of digits
            content = json.loads(path.read_bytes(), parse_int=float)
            table = content["idx_to_token"]
            if not isinstance(table, dict) or not all(isinstance(t, str) for t in table.values()):
                raise ValueError("idx_to_token is not a table of characters")
            tokens = [table[str(i)] for i in range(FIRST_FILE_ID, FIRST_FILE_ID + len(table))]
            return cls.from_tokens(tokens)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(
                f"{shorten(path)}: not a vocabulary ({shorten(what)}); `charrnn preprocess` writes one"
            ) from None


def _character(token: str) -> str:
    """The character of a JSON token."""
    byte = _BYTE_TOKEN.fullmatch(token) if len(token) > 1 else None
    if byte and int(byte[1]) < 256:
        return bytes([int(byte[1])]).decode("ascii", "surrogateescape")
    return token


def to_readable(text: str) -> str:
    """The same with the characters that its bytes are, where some of it is bytes."""
    return as_bytes(text).decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """UTF-8; a byte of `encoding=bytes`, a lone surrogate in Python, is that byte again.

    Another lone surrogate is no character and no byte; it is written as UTF-8 would write it.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


# Control characters, which could move the cursor or worse, as pictures of themselves; line
# breaks and tabs are what they are. Those above 127 have no pictures.
_PICTURES = {
    **{c: 0x2400 + c for c in range(32) if chr(c) not in "\t\n\r"},
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    0x7F: 0x2421,
}


class TerminalEncoder:
    """Encodes a text, piece by piece, for a terminal.

    What the terminal's encoding lacks is shown as a question mark, a byte that is no text as
    U+FFFD. A character of a model of bytes may come in several pieces.
    """

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding or "ascii"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def encode(self, text: str, last: bool = False) -> bytes:
        """The bytes that show this much more text; with `last` also what is incomplete."""
        decoded = self._decoder.decode(as_bytes(text), last)
        return decoded.translate(_PICTURES).encode(self._encoding, "replace")
