"""Tell clients apart: each browser has three secret words, and the teacher sees all trainings.

The words are in a cookie. To get the same texts in another browser, its user types them there. Each
word has three of 70 syllables, so there are 10^16 secrets. The server keeps only a hash.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request, Response

from charrnn.extras.serve.protocol import Refusal
from charrnn.extras.serve.trainings.store import Training

_WORDS_COOKIE, WORDS_HEADER = "charrnn_words", "Charrnn-Words"
_TEACHER_COOKIE, _TEACHER_HEADER = "charrnn_teacher", "Charrnn-Teacher"
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_WORD = f"(?:[{_CONSONANTS}][{_VOWELS}]){{3}}"
_WORDS = re.compile(f"{_WORD}-{_WORD}-{_WORD}")
_YEAR = 365 * 24 * 3600  # seconds


@dataclass(frozen=True)
class Client:
    """A browser, or a program.

    Attributes:
        words: its secret, such as "bakomi-sutela-dorefu".
        is_teacher: whether it may see and change all trainings.
        needs_cookie: whether its cookie lacks the words.
    """

    words: str
    is_teacher: bool
    needs_cookie: bool

    @property
    def owner(self) -> str:
        """The hash of the words, which the record of a training has."""
        return hashlib.sha256(self.words.encode()).hexdigest()

    def owns(self, training: Training) -> bool:
        return hmac.compare_digest(training.owner, self.owner)

    def may_change(self, training: Training) -> bool:
        return self.is_teacher or self.owns(training)

    def may_write_with(self, training: Training) -> bool:
        return training.is_shared or self.may_change(training)

    def remember(self, response: Response) -> None:
        """Put the words into the browser's cookie."""
        if self.needs_cookie:
            response.set_cookie(
                _WORDS_COOKIE, self.words, max_age=_YEAR, httponly=True, samesite="strict"
            )


def identify(request: Request) -> Client:
    """Return the client of a request. A browser without words gets new ones."""
    cookie = request.cookies.get(_WORDS_COOKIE, "")
    words = cookie if _WORDS.fullmatch(cookie) else _draw_words()
    if (typed := request.headers.get(WORDS_HEADER)) is not None:
        words = "-".join(re.findall(r"\w+", typed.lower()))
        if not _WORDS.fullmatch(words):
            raise Refusal(400, f"{WORDS_HEADER}: these are not the three words of a browser")
    return Client(words, _is_teacher(request), words != cookie)


def _draw_words() -> str:
    draw = secrets.choice
    words = ["".join(draw(_CONSONANTS) + draw(_VOWELS) for _ in range(3)) for _ in range(3)]
    return "-".join(words)


def _is_teacher(request: Request) -> bool:
    """Return whether a request has the teacher's token, or, without one, is from this machine."""
    token = request.app.state.options.teacher_token
    if token is not None:
        sent = request.headers.get(_TEACHER_HEADER) or request.cookies.get(_TEACHER_COOKIE, "")
        # Starlette decodes the bytes of a header as latin-1.
        expected = token.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(sent.encode("latin-1", "replace"), expected)
    with suppress(ValueError):  # A proxy may name a client as it likes.
        return bool(request.client and ipaddress.ip_address(request.client.host).is_loopback)
    return False
