"""The two encodings of a Torch7 file: numbers and strings, one after the other.

Binary is that of a 64-bit little-endian machine, which is what Torch7 ran on. In ascii a
row of numbers is a line, a string is as it is, and what has no elements has no line.
Every size is held against the bytes that are there before memory is taken.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
_LINE = re.compile(rb"\s*(\S[^\n]*)\n?")


class Damage(ValueError):
    """The bytes are not what the format says."""


class Binary:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def whole(self) -> int:
        """A whole number of 32 bits."""
        return int.from_bytes(self.raw(4), "little", signed=True)

    def double(self) -> float:
        value: float = struct.unpack("<d", self.raw(8))[0]
        return value

    def raw(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self._advance(size)
        return self.data[start : self.position]

    def numbers(self, dtype: str, count: int) -> npt.NDArray[Any]:
        """The next `count` numbers (count,), not copied."""
        start = self._advance(count * np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, count, start)

    def left(self) -> int:
        """How many bytes there are still."""
        return len(self.data) - self.position

    def _advance(self, size: int) -> int:
        _check_size(size, self.left())
        self.position += size
        return self.position - size


class Ascii:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def whole(self) -> int:
        return _parsed(int, self._line())

    def double(self) -> float:
        return _parsed(float, self._line())

    def raw(self, size: int) -> bytes:
        _check_size(size, len(self.data) - self.position)
        start, end = self.position, self.position + size
        self.position = end + (size > 0 and self.data[end : end + 1] == b"\n")
        return self.data[start:end]

    def numbers(self, dtype: str, count: int) -> npt.NDArray[Any]:
        if np.dtype(dtype).itemsize == 1:  # characters
            return np.frombuffer(self.raw(count), dtype)
        if count == 0:
            return np.empty(0, dtype)
        numbers = _parsed(lambda line: np.fromstring(line, dtype, sep=" "), self._line())
        if len(numbers) != count:
            raise Damage(f"{len(numbers)} numbers instead of {count}")
        return numbers

    def left(self) -> int:
        return len(self.data[self.position :].strip())

    def _line(self) -> bytes:
        line = _LINE.match(self.data, self.position)
        if line is None:
            raise Damage("it ends too early")
        self.position = line.end()
        return line[1]


def _check_size(size: int, left: int) -> None:
    if size < 0:
        raise Damage("a size is negative")
    if size > left:
        raise Damage("it ends too early")


def _parsed(kind: Callable[[bytes], T], line: bytes) -> T:
    try:
        return kind(line)
    except (ValueError, DeprecationWarning):  # NumPy 1 warns, where 2 raises
        raise Damage("a number is expected and is not there") from None
