"""The columns of a table of counts, as a model file has them: arrays of small whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.tries import Nodes

Arrays = Mapping[str, npt.NDArray[Any]]

MANY = 255  # counts from here on are in another array, so that a byte holds each of the first
_LARGEST = np.iinfo(np.int32).max


class Columns(NamedTuple):
    """The columns of a table.

    Attributes:
        table: its name in messages.
        prefix: of the arrays' names.
        names: the attributes of the table. If "many" is among them, it is the array in a file of
            the counts that are at least `MANY`.
    """

    table: str
    prefix: str
    names: tuple[str, ...]

    def pack(self, table: Any) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file, each in the smallest unsigned type that fits."""
        columns = {name: getattr(table, name).ravel() for name in self.names if name != "many"}
        if "many" in self.names:
            counts = columns["counts"]
            columns |= {"counts": np.minimum(counts, MANY), "many": counts[counts >= MANY]}
        return {
            f"{self.prefix}{name}": values.astype(np.min_scalar_type(int(values.max(initial=0))))
            for name, values in columns.items()
        }

    def unpack(self, arrays: Arrays) -> list[Nodes]:
        """Return the columns in a file without "many", as int32.

        Raise KeyError if one is missing, ValueError if they are invalid.
        """
        stored = {name: arrays[self.prefix + name] for name in self.names}
        for values in stored.values():
            if values.ndim != 1 or values.dtype.kind != "u" or values.max(initial=0) > _LARGEST:
                raise ValueError(f"its {self.table} are not arrays of whole numbers")
        columns = {name: values.astype(np.int32) for name, values in stored.items()}
        if (many := columns.pop("many", None)) is not None:
            is_many = columns["counts"] >= MANY
            if len(many) != is_many.sum() or many.min(initial=MANY) < MANY:
                raise ValueError(f"its {self.table} are not a valid table")
            columns["counts"][is_many] = many
        return [*columns.values()]
