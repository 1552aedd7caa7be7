"""The columns of a table of counts, as a model file has them: arrays of small whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.counts.tries import Nodes

Arrays = Mapping[str, npt.NDArray[Any]]

_LARGEST = np.iinfo(np.int32).max


class Columns(NamedTuple):
    """The columns of a table.

    Attributes:
        table: its name in messages.
        prefix: of the arrays' names.
        names: the attributes of the table.
    """

    table: str
    prefix: str
    names: tuple[str, ...]

    def pack(self, table: Any) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file, each in the smallest unsigned type that fits."""
        columns = {self.prefix + name: getattr(table, name).ravel() for name in self.names}
        return {
            name: values.astype(np.min_scalar_type(int(values.max(initial=0))))
            for name, values in columns.items()
        }

    def unpack(self, arrays: Arrays) -> list[Nodes]:
        """Return the columns in a file, as int32.

        Raise KeyError if one is missing, ValueError if they are invalid.
        """
        columns = [arrays[self.prefix + name] for name in self.names]
        for values in columns:
            if values.ndim != 1 or values.dtype.kind != "u" or values.max(initial=0) > _LARGEST:
                raise ValueError(f"its {self.table} are not arrays of whole numbers")
        return [values.astype(np.int32) for values in columns]
