"""The characters that a model knows, and their ids.

In memory, ids count from 0: they index the rows of the embedding and the columns of the logits.
In files, ids count from `FIRST_FILE_ID` = 1, as in torch-rnn's files.

A vocabulary of bytes (``encoding=bytes``) has one token per byte. A byte above 127 is represented
by the lone surrogate of ``surrogateescape`` in Python, by ``[200]`` in JSON (as in torch-rnn), and
by the byte itself on standard output.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError, shorten
from charrnn.files import require_regular_file

FIRST_FILE_ID = 1
DIGEST = "vocabulary"  # the attribute of an HDF5 file that names its vocabulary
LARGEST_JSON = 1 << 26  # bytes; a vocabulary of all Unicode characters is smaller
_BYTE_TOKEN = re.compile(r"\[([0-9]{1,3})\]")


class Vocabulary:
    """The characters of a model, in the order of their ids.

    It is no dataclass, which Hydra's `instantiate` would replace by a config.

    Attributes:
        characters: one string of length 1 for each id.
        is_bytes: whether the tokens are bytes, some of them above 127, rather than Unicode
            characters.
    """

    def __init__(self, characters: list[str]) -> None:
        self.characters = characters
        self.is_bytes = any("\udc80" <= c <= "\udcff" for c in characters)
        self._ids = {c: i for i, c in enumerate(characters)}
        if not characters:
            raise InputError("a vocabulary needs at least one character")
        if len(self._ids) != len(self.characters):
            raise InputError("a vocabulary contains the same character twice")
        if any(len(c) != 1 for c in self.characters):
            raise InputError("a vocabulary contains a token that is not a single character")
        if self.is_bytes and not all(c < "\x80" or "\udc80" <= c <= "\udcff" for c in characters):
            raise InputError("a vocabulary contains bytes and other characters")

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        return character in self._ids

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Return the ids (n,) of a text. Raise InputError if the vocabulary lacks a character."""
        ids = self.look_up(text)
        if (ids < 0).any():
            character = self.as_tokens(text)[ids.argmin()]
            raise InputError(
                f"the character {character!r} (U+{ord(character):04X}) is not among the "
                f"{len(self)} that this model was trained on; change the text"
            )
        return ids

    def look_up(self, text: str) -> npt.NDArray[np.int64]:
        """Return the ids (n,) of a text, with -1 for characters that the vocabulary lacks."""
        text = self.as_tokens(text)
        return np.fromiter((self._ids.get(c, -1) for c in text), np.int64, len(text))

    def as_tokens(self, text: str) -> str:
        """Convert a text to its bytes, as surrogates, if this is a vocabulary of bytes."""
        if self.is_bytes:
            # Other surrogates represent no byte. The text then stays as it is, and is unknown.
            with contextlib.suppress(UnicodeEncodeError):
                return text.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")
        return text

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, which count from 0."""
        characters = self.characters
        return "".join([characters[i] for i in ids])

    def to_tokens(self) -> list[str]:
        """Return the characters as in torch-rnn's JSON, with bytes above 127 as ``[200]``."""
        if not self.is_bytes:
            return list(self.characters)
        return [c if c < "\x80" else f"[{ord(c) - 0xDC00}]" for c in self.characters]

    @classmethod
    def from_tokens(cls, tokens: Any) -> Vocabulary:
        """Convert the result of `to_tokens`. Raise ValueError or InputError if it is invalid."""
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("its tokens are not a list of texts")
        return cls([_parse_token(token) for token in tokens])

    def to_dict(self) -> dict[str, Any]:
        """Return the plain values that model files and checkpoints store, and pages read."""
        return {"tokens": self.to_tokens(), "bytes": self.is_bytes}

    def compute_digest(self) -> str:
        """Return the SHA-256 of the tokens, by which an HDF5 file names its vocabulary."""
        return hashlib.sha256(json.dumps(self.to_tokens()).encode()).hexdigest()

    def is_of(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether an HDF5 file with these attributes names this vocabulary, or none."""
        digest = attributes.get(DIGEST)
        return not isinstance(digest, str) or digest == self.compute_digest()

    def write_json(self, path: Path) -> None:
        """Write the JSON file of torch-rnn's format."""
        pairs = list(enumerate(self.to_tokens(), start=FIRST_FILE_ID))
        content = {
            "token_to_idx": {token: i for i, token in pairs},
            "idx_to_token": {str(i): token for i, token in pairs},
        }
        path.write_text(json.dumps(content), encoding="ascii")

    @classmethod
    def read_json(cls, path: Path) -> Vocabulary:
        """Read the JSON file of torch-rnn's format. Raise InputError if it is not valid."""
        hint = "`charrnn preprocess` writes it next to the HDF5"
        size = require_regular_file(path, hint).st_size
        try:
            if size > LARGEST_JSON:
                raise ValueError(f"it has {size >> 20} MB")
            # float() cannot fail on a number of thousands of digits, as int() does.
            content = json.loads(path.read_bytes(), parse_int=float)
            table = content["idx_to_token"]
            if not isinstance(table, dict):
                raise ValueError("idx_to_token is not a table of characters")
            tokens = [table[str(i)] for i in range(FIRST_FILE_ID, FIRST_FILE_ID + len(table))]
            return cls.from_tokens(tokens)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError) as error:
            reason = shorten(f"it lacks {error}" if isinstance(error, KeyError) else error)
            raise InputError(
                f"{shorten(path)}: not a vocabulary ({reason}); `charrnn preprocess` writes one"
            ) from None


def _parse_token(token: str) -> str:
    """Return the character of a token in JSON."""
    byte = _BYTE_TOKEN.fullmatch(token) if len(token) > 1 else None
    if byte and int(byte[1]) < 256:
        return bytes([int(byte[1])]).decode("ascii", "surrogateescape")
    return token


def as_bytes(text: str) -> bytes:
    """Encode a text in UTF-8, and the surrogates of `encoding=bytes` as the bytes that they are.

    A lone surrogate that represents no byte is encoded with ``surrogatepass``.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


# Control characters could move the cursor of a terminal.
_CONTROLS = {c: 0xFFFD for c in (*range(32), *range(0x7F, 0xA0)) if chr(c) not in "\t\n\r"}


def encode_for_terminal(pieces: Iterable[str], encoding: str | None) -> Iterator[bytes]:
    """Yield the pieces of a text in the encoding of a terminal; None means ASCII.

    A byte that is not UTF-8 and a control character become U+FFFD, and a character that the
    encoding lacks a question mark. The bytes of one character may be in several pieces.
    """
    for text in codecs.iterdecode(map(as_bytes, pieces), "utf-8", "replace"):
        yield text.translate(_CONTROLS).encode(encoding or "ascii", "replace")
