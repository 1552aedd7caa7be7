"""Torch7's serialization, read into plain Python and NumPy values.

A file is a tree of values, each with a type tag before it. Tables and objects are numbered, and a
number that was seen before refers back to that object. Torch itself loads functions as bytecode
and lets a class read its own content: here a function is refused, and only the classes that the
caller names are read, each as the table of its fields. So nothing in a file can run.

The format is that of File.lua, generic/Storage.c and generic/Tensor.c of torch/torch7.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Lua's strings are bytes; keys that are whole numbers are ints, to count with
Table: TypeAlias = "dict[bytes | int | float, Any]"

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)
_FUNCTIONS = (6, 7, 8)  # three forms, of different ages
_DTYPES = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8",
           "Float": "<f4", "Double": "<f8"}  # fmt: skip
_NUMBERS_CLASS = re.compile(rf"torch\.({'|'.join(_DTYPES)})(Tensor|Storage)")
_BINARY_START = bytes([_TABLE, 0, 0, 0])
_ASCII_START = re.compile(rb"%d\r?\n" % _TABLE)
_LINE = re.compile(rb"\s*(\S[^\n]*)\n?")


def damaged(what: str) -> ValueError:
    """An error for bytes that are not what the format says."""
    return ValueError(f"{what}; the file is damaged, copy it again")


@dataclass
class Object:
    """An object of a class that saves the table of its fields."""

    class_name: str
    fields: Table = field(default_factory=dict)


def read(path: Path, classes: Collection[str]) -> Table:
    """The table that a Torch7 file holds, binary or ascii.

    Its values are None, bool, float, bytes (a Lua string), Table, Object, and arrays: a tensor's
    numbers, a storage's (n,). A tensor that is empty, or does not fit its storage, is None.

    Args:
        classes: names of the classes that may occur, beside tensors and storages.

    Raises:
        ValueError: why the file is not read, after the keys that lead to the reason.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    is_binary = data.startswith(_BINARY_START)
    if not is_binary and not _ASCII_START.match(data):
        raise ValueError("not a checkpoint of torch-rnn, nor any table of Torch7's")
    reader = _Reader(_Binary(data) if is_binary else _Ascii(data), classes)
    try:
        table: Table = reader.value()
        if data[reader.source.position :].strip():
            raise damaged("it goes on after its end")
        return table
    except ValueError as error:
        place = ".".join(shown(key) for key in reader.path[:6])
        raise ValueError(f"{place}: {error}" if place else str(error)) from None
    except RecursionError:
        raise damaged("it is nested without end") from None


def shown(name: bytes | float) -> str:
    """A key or a class name out of a file, fit for a line of text."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return text.encode("unicode_escape").decode("ascii")[:40]


class _Binary:
    """The numbers and texts of a file that a 64-bit little-endian machine wrote."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def text(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.position:  # before memory is taken
            raise damaged("it ends too early")
        self.position += size
        return self.data[self.position - size : self.position]

    def numbers(self, dtype: str, count: int) -> Array:
        return np.frombuffer(self.text(count * np.dtype(dtype).itemsize), dtype)


class _Ascii(_Binary):
    """Those of an ascii file: a row of numbers is a line, and what is empty has none."""

    def text(self, size: int) -> bytes:
        text = super().text(size)
        self.position += size > 0 and self.data[self.position : self.position + 1] == b"\n"
        return text

    def numbers(self, dtype: str, count: int) -> Array:
        if np.dtype(dtype).itemsize == 1:  # characters
            return np.frombuffer(self.text(count), dtype)
        line = _LINE.match(self.data, self.position) if count else None
        if line is not None:
            self.position = line.end()
        try:
            numbers = np.array(line[1].split() if line is not None else [], dtype)
        except (ValueError, OverflowError):
            raise damaged("a number is expected and is not there") from None
        if len(numbers) != count:
            raise damaged(f"{len(numbers)} numbers instead of {count}")
        return numbers


class _Reader:
    """Values out of a source; `path` holds the keys that lead to where it stands."""

    def __init__(self, source: _Binary, classes: Collection[str]) -> None:
        self.source = source
        self.classes = classes
        self.objects: dict[int, Any] = {}
        self.path: list[bytes | int | float] = []

    def value(self) -> Any:
        tag = self._int()
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            return float(self.source.numbers("<f8", 1)[0])
        if tag == _STRING:
            return self.source.text(self._int())
        if tag == _BOOLEAN:
            return self._int() == 1
        if tag in _FUNCTIONS:
            raise ValueError("a Lua function, which could run code; torch-rnn saves none")
        if tag not in (_TABLE, _OBJECT):
            raise damaged(f"there is no type {tag}")
        index = self._int()
        if index not in self.objects:
            (self._read_table if tag == _TABLE else self._read_object)(index)
        return self.objects[index]

    def _int(self) -> int:
        return int(self.source.numbers("<i4", 1)[0])

    def _longs(self, count: int) -> list[int]:
        longs: list[int] = self.source.numbers("<i8", count).tolist()
        return longs

    def _read_table(self, index: int) -> None:
        table = self.objects[index] = {}  # before its content, which may refer to it
        for _ in range(self._int()):
            key = self.value()
            if isinstance(key, float) and key.is_integer():
                key = int(key)
            if not isinstance(key, bytes | int | float):
                raise damaged("a key is neither a number nor a string")
            self.path.append(key)
            table[key] = self.value()
            self.path.pop()

    def _read_object(self, index: int) -> None:
        version = self.source.text(self._int())
        if not re.fullmatch(rb"V \d+", version):
            raise damaged("an object has no version")
        name = self.source.text(self._int())
        class_name = name.decode("latin-1")
        if class_name in self.classes:
            made = self.objects[index] = Object(class_name)
            made.fields = self.value()
            if not isinstance(made.fields, dict):
                raise damaged(f"an {class_name} without fields")
            return
        numbers = _NUMBERS_CLASS.fullmatch(class_name)
        if numbers is None:
            raise ValueError(f"an object of {shown(name)}, which is no class of torch-rnn's")
        if numbers[2] == "Storage":
            (size,) = self._longs(1)
            self.objects[index] = self.source.numbers(_DTYPES[numbers[1]], size)
            return
        dimensions = self._int()
        sizes, strides, (first,) = (self._longs(count) for count in (dimensions, dimensions, 1))
        self.objects[index] = _view(self.value(), sizes, strides, first - 1)


def _view(storage: Any, sizes: Sequence[int], strides: Sequence[int], offset: int) -> Array | None:
    """The numbers of a tensor, not copied.

    None if it is empty, reaches beyond its storage, or is not laid out in rows as Torch saves it.
    """
    size = math.prod(sizes)
    rows = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    if not isinstance(storage, np.ndarray) or not sizes or min(sizes) < 1 or strides != rows:
        return None
    numbers = storage[offset : offset + size] if offset >= 0 else storage[:0]
    return numbers.reshape(sizes) if numbers.size == size else None
