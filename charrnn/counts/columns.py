"""The columns of a table of counts, as a model file has them: arrays of small whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charrnn.counts.tries import Nodes

Arrays = Mapping[str, npt.NDArray[Any]]

_LARGEST = np.iinfo(np.int32).max


class Table:
    """A table in a model file.

    Attributes:
        title: its name in messages.
        prefix: of the arrays' names.
        columns: the attributes that the file has.
    """

    title: ClassVar[str]
    prefix: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a file, each in the smallest unsigned type that fits."""
        columns = {self.prefix + name: getattr(self, name).ravel() for name in self.columns}
        return {
            name: values.astype(np.min_scalar_type(int(values.max(initial=0))))
            for name, values in columns.items()
        }

    @classmethod
    def read_columns(cls, arrays: Arrays) -> list[Nodes]:
        """Return the columns in a file, as int32.

        Raise KeyError if one is missing, ValueError if they are invalid.
        """
        columns = [arrays[cls.prefix + name] for name in cls.columns]
        for values in columns:
            if values.ndim != 1 or values.dtype.kind != "u" or values.max(initial=0) > _LARGEST:
                raise ValueError(f"its {cls.title} are not arrays of whole numbers")
        return [values.astype(np.int32) for values in columns]
