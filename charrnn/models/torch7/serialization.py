"""Torch7's serialization, read into plain Python and NumPy values.

A file is a tree of values, each with a type tag before it. Tables and objects are
numbered, and a number that was seen before refers back to that object. Torch itself
loads functions as bytecode and lets a class read its own content: here a function is
refused, and only the classes that the caller names are read, each as the table of its
fields. So nothing in a file can run, whatever it says.

The format is defined by File.lua, generic/Storage.c and generic/Tensor.c of torch/torch7.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError

T = TypeVar("T")
_LINE = re.compile(rb"\s*(\S[^\n]*)\n?")


class Damage(ValueError):
    """The bytes are not what the format says."""


# -- The two encodings of a file: numbers and strings, one after the other. Binary is that of a
# 64-bit little-endian machine, which is what Torch7 ran on. In ascii a row of numbers is a line,
# a string is as it is, and what has no elements has no line. Every size is held against the bytes
# that are there before memory is taken.


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


NIL, NUMBER, STRING, TABLE, OBJECT, BOOLEAN = range(6)
FUNCTIONS = (6, 7, 8)  # three forms, of different ages

DTYPES = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Float": "<f4",
    "Double": "<f8",
}
_TORCH_CLASS = re.compile(r"torch\.(\w+)(Tensor|Storage)")
_CLASS_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)
_VERSION = re.compile(rb"V (\d{1,9})")
_BINARY_START = bytes([TABLE, 0, 0, 0])
_ASCII_START = re.compile(rb"%d\r?\n" % TABLE)

MAX_DEPTH = 64  # torch-rnn's checkpoints are nested 9 deep
MAX_DIMENSIONS = 16
SHOWN_PATH = 6  # keys of a path that an error shows
SHOWN_NAME = 40  # characters of a key or a class that an error shows
DAMAGED = "the file is damaged, copy it again"

# Lua's strings are bytes; keys that are whole numbers are ints, to count with
Key: TypeAlias = "bytes | int | float"
Table: TypeAlias = "dict[Key, Any]"


class Refused(InputError):
    """A file that is not read, with the keys that lead to the reason."""

    def __init__(self, reason: str, path: list[Key]) -> None:
        place = ".".join(shown(key) for key in path[-SHOWN_PATH:])
        super().__init__(f"{place}: {reason}" if place else reason)
        self.path = tuple(path)


@dataclass
class Storage:
    """A row of numbers; tensors are views of it."""

    numbers: npt.NDArray[Any]


@dataclass
class Tensor:
    """A view of a storage, checked only when its numbers are wanted.

    Attributes:
        strides: in numbers, not bytes.
        offset: where in the storage its first number is, from 0.
        storage: None for an empty tensor.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Storage | None = None

    @property
    def end(self) -> int:
        """One past its last number in the storage."""
        steps = zip(self.sizes, self.strides, strict=True)
        return self.offset + 1 + sum((size - 1) * stride for size, stride in steps)

    def array(self) -> npt.NDArray[Any]:
        """Its numbers, not copied.

        Raises:
            InputError: it is empty, reaches beyond its storage, or has holes or numbers
                that it holds twice; no weight that Torch saves is so.
        """
        if self.storage is None or not self.sizes or min(self.sizes) < 1:
            raise InputError("an empty tensor")
        if min(self.strides) < 1 or self.offset < 0 or self.end > self.storage.numbers.size:
            raise InputError(f"a tensor that reaches beyond its storage; {DAMAGED}")
        if math.prod(self.sizes) != self.end - self.offset:
            raise InputError(f"a tensor whose strides do not fit its sizes; {DAMAGED}")
        numbers = self.storage.numbers[self.offset : self.end]
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers, self.sizes, strides, writeable=False)


@dataclass
class Object:
    """An object of a class that saves the table of its fields."""

    class_name: str
    fields: Table = field(default_factory=dict)


def read(path: Path, classes: Collection[str]) -> Table:
    """The table that a Torch7 file holds, binary or ascii.

    Its values are None, bool, float, bytes (a Lua string), Table, Object, Tensor, Storage.

    Args:
        classes: names of the classes that may occur, beside tensors and storages.

    Raises:
        InputError: why the file is not read, in words that follow the file's name;
            a Refused where the reason has a place in the tree.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_BINARY_START))
            is_binary = start == _BINARY_START
            if not is_binary and not _ASCII_START.match(start):
                raise InputError("not a checkpoint of torch-rnn, nor any table of Torch7's")
            data = start + file.read()
    except FileNotFoundError:
        raise InputError("no such file") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from None
    reader = _Reader(Binary(data) if is_binary else Ascii(data), classes)
    try:
        table: Table = reader.value()
        if left := reader.source.left():
            raise Damage(f"{left} bytes are left over")
    except Damage as damage:
        raise Refused(f"{damage}; {DAMAGED}", reader.path) from None
    return table


def shown(name: Key | str) -> str:
    """A key or a class name out of a file, fit for a line of text."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    escaped = text[: SHOWN_NAME + 1].encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= SHOWN_NAME else escaped[:SHOWN_NAME] + "..."


class _Reader:
    """Values out of a source; `path` holds the keys that lead to where it stands."""

    def __init__(self, source: Binary | Ascii, classes: Collection[str]) -> None:
        self.source = source
        self.classes = classes
        self.objects: dict[int, Any] = {}
        self.path: list[Key] = []
        self.depth = 0

    def value(self) -> Any:
        tag = self.source.whole()
        if tag == NIL:
            return None
        if tag == NUMBER:
            return self.source.double()
        if tag == STRING:
            return self.source.raw(self.source.whole())
        if tag == BOOLEAN:
            return self.source.whole() == 1
        if tag in FUNCTIONS:
            raise Refused("a Lua function, which could run code; torch-rnn saves none", self.path)
        if tag not in (TABLE, OBJECT):
            raise Damage(f"there is no type {tag}")
        index = self.source.whole()
        if index in self.objects:
            return self.objects[index]
        if self.depth == MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} deep; torch-rnn's are not", self.path)
        self.depth += 1
        value = self._table(index) if tag == TABLE else self._object(index)
        self.depth -= 1
        return value

    def _table(self, index: int) -> Table:
        # known before its content, which may refer to it
        table: Table = {}
        self.objects[index] = table
        size = self.source.whole()
        if size < 0:
            raise Damage("a size is negative")
        for _ in range(size):
            key = self.value()
            if isinstance(key, float):
                key = int(key) if key.is_integer() else key
            elif not isinstance(key, bytes):
                raise Damage("a key is neither a number nor a string")
            self.path.append(key)
            table[key] = self.value()
            self.path.pop()
        return table

    def _object(self, index: int) -> Object | Tensor | Storage:
        name = self.source.raw(self.source.whole())
        if _VERSION.fullmatch(name):  # very old files have the class's name at once
            name = self.source.raw(self.source.whole())
        class_name = name.decode("latin-1")
        if class_name in self.classes:
            made = self.objects[index] = Object(class_name)
            made.fields = self.value()
            if not isinstance(made.fields, dict):
                raise Damage(f"an {class_name} without fields")
            return made
        match = _TORCH_CLASS.fullmatch(class_name)
        if match and match[1] in DTYPES:
            return self._tensor(index) if match[2] == "Tensor" else self._storage(index, match[1])
        if match and match[1].startswith(("Cuda", "Cl")):
            raise Refused(
                f"a {shown(class_name)}, which lies on a GPU; torch-rnn casts a model to float "
                "before it saves it, do so in Torch with model:float()",
                self.path,
            )
        if not _CLASS_NAME.fullmatch(class_name):
            raise Damage("an object without a class")
        raise Refused(
            f"an object of the class {shown(class_name)}, which is none of torch-rnn's", self.path
        )

    def _tensor(self, index: int) -> Tensor:
        dimensions = self.source.whole()
        if not 0 <= dimensions <= MAX_DIMENSIONS:
            raise Damage(f"a tensor of {dimensions} dimensions")
        sizes = self.source.numbers("<i8", dimensions).tolist()
        strides = self.source.numbers("<i8", dimensions).tolist()
        (first,) = self.source.numbers("<i8", 1).tolist()
        tensor = self.objects[index] = Tensor(tuple(sizes), tuple(strides), first - 1)
        tensor.storage = self.value()
        if not isinstance(tensor.storage, Storage | None):
            raise Damage("a tensor whose storage is none")
        return tensor

    def _storage(self, index: int, kind: str) -> Storage:
        (size,) = self.source.numbers("<i8", 1).tolist()
        storage = self.objects[index] = Storage(self.source.numbers(DTYPES[kind], size))
        return storage
