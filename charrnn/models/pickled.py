"""What a pickle would build, looked at before it is built.

torch.load with ``weights_only=True`` runs nothing that a pickle names, but it fills dicts with
any keys. Keys of equal hashes make that quadratic: a file of a few megabytes keeps it busy for
hours. Here the opcodes are followed without their values, as ``pickletools.dis`` does, to see
which of them become keys.
"""

from __future__ import annotations

import pickletools
import sys
from typing import Any

_PLAIN = (
    pickletools.pyunicode,
    pickletools.pyint,
    pickletools.pyinteger_or_bool,
    pickletools.pybool,
    pickletools.pyfloat,
    pickletools.pynone,
)
# these make a container of another one, whose values do not show as keys
_SETS = ("__builtin__ set", "builtins set", "__builtin__ bytearray", "builtins bytearray")
_DICTS = ("collections OrderedDict", "collections Counter")


def check_keys(pickled: bytes) -> None:
    """Raise ValueError unless dicts have keys that are texts or numbers of everyday size.

    Equal hashes are easily had among tuples and among whole numbers of 61 bits and more. What
    else is odd in a pickle is left to who loads it.
    """
    stack: list[str] = []
    marks: list[int] = []
    memo: dict[Any, str] = {}
    for opcode, argument, _ in pickletools.genops(pickled):
        before = opcode.stack_before
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            has_mark = pickletools.markobject in before
            under_mark = before.index(pickletools.markobject) if has_mark else len(before)
            start = (marks.pop() if has_mark else len(stack)) - under_mark
            if start < 0:
                raise ValueError("its pickle takes more than there is")
            taken = stack[start:]
            del stack[start:]
            if opcode.stack_after:
                stack.append(_kind(opcode, argument, taken))


def _kind(opcode: pickletools.OpcodeInfo, argument: Any, taken: list[str]) -> str:
    """What an opcode makes of what it took: as a key harmless, a dict, or anything else."""
    name = opcode.name
    if name in ("SETITEM", "SETITEMS") and "other" in taken[1::2]:
        raise ValueError("it has a dict with keys that are neither texts nor everyday numbers")
    if name in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
        return taken[0]
    if name == "BUILD" and taken[1] != "{}":
        raise ValueError("it has an object of another kind")
    if name == "REDUCE" and (
        taken[0] in _SETS or (taken[0] in _DICTS and taken[1] not in ("()", "({})"))
    ):
        raise ValueError(f"it has a {taken[0].split()[-1]} that no checkpoint has")
    if name == "GLOBAL":
        return str(argument)
    if name in ("EMPTY_DICT", "EMPTY_TUPLE"):
        return "{}" if name == "EMPTY_DICT" else "()"
    if name == "TUPLE1" and taken == ["{}"]:
        return "({})"
    is_large = isinstance(argument, int) and abs(argument) >= sys.hash_info.modulus
    return "key" if opcode.stack_after[0] in _PLAIN and not is_large else "other"
