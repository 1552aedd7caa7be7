"""Tools of all tests: waiting, refusals of a line, and files that are damaged or changed."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.errors import InputError

ABSENT = Ellipsis  # whose repr, in the name of a test, is the same in every process


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait until `holds()` is true. After `seconds` the test fails."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it does not hold after {seconds:g} seconds"
        time.sleep(0.02)


def refusal(path: Path, read: Callable[[Path], object]) -> str:
    """Return the line that refuses a file, without the name of the file at its start."""
    with pytest.raises(InputError) as refused:
        read(path)
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable(), "more than one line, or control characters"
    assert len(line) < len(str(path)) + 350
    return line.removeprefix(f"{path}: ")


def refusal_of(capture: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """Run a command line that is refused, and return the one line that it prints."""
    capture.readouterr()
    assert main(words) == code
    out, err = capture.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert len(err) < 1000
    return err


def replace_at(content: Any, keys: tuple[Any, ...], value: Any) -> Any:
    """Copy nested dicts and lists with another value at a place, or without it (ABSENT)."""
    content = copy.deepcopy(content)
    node = content
    for key in keys[:-1]:
        node = node[key]
    if value is ABSENT:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    return content


def damage(dice: random.Random, data: bytes, end: int) -> bytes:
    """Flip a bit before `end`, or replace, cut off, leave out or repeat bytes."""
    result = bytearray(data)
    at, size, kind = dice.randrange(end), dice.choice((1, 1, 2, 4, 8, 64)), dice.randrange(6)
    if kind < 2:
        result[at] ^= 1 << dice.randrange(8)
    elif kind == 2:
        result[at : at + size] = dice.randbytes(size)
    elif kind == 3:
        del result[at:]
    elif kind == 4:
        del result[at : at + size]
    else:
        result[at:at] = result[at : at + size]
    return bytes(result)


def damage_is_noticed(
    path: Path, read: Callable[[Path], Any], check: Callable[[Any], None], count: int, head: int
) -> int:
    """Damage a file in many ways: it is refused, or what is read is checked to be the same.

    Every other time in the first `head` bytes. Returns how often it was refused.
    """
    whole, dice, refused = path.read_bytes(), random.Random(count), 0
    for trial in range(count):
        path.write_bytes(damage(dice, whole, len(whole) if trial % 2 else head))
        try:
            content = read(path)
        except InputError:
            refusal(path, read)
            refused += 1
        else:
            check(content)
    path.write_bytes(whole)
    return refused


def damage_arrays(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a table's array shorter, longer, in another order or type, too large, wrapped."""
    yield values[:-1]
    yield values[:0]
    yield np.append(values, values[-1:])
    yield values[::-1].copy()
    yield values.astype(np.int8)
    yield values[None]
    yield np.full_like(values, 255)
    yield np.zeros_like(values)
    yield np.append(values.astype(np.uint64)[:-1], np.uint64(2**64 - 1))
    yield np.append(values.astype(np.uint32)[:-1], np.uint32(2**31))


def accept_damaged(
    arrays: Mapping[str, np.ndarray], read: Callable[[dict[str, np.ndarray]], Any], least: int
) -> Iterator[tuple[str, np.ndarray, Any]]:
    """Damage a table's arrays one by one. Yield what is read nonetheless, with the changed array.

    Args:
        least: how many a ValueError must refuse.
    """
    refused = 0
    for name, values in arrays.items():
        for change in damage_arrays(values):
            try:
                made = read({**arrays, name: change})
            except ValueError:
                refused += 1
            else:
                yield name, change, made
    assert refused >= least
