"""A text: where it comes from, how it is split, and how it is cut into windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from charrnn.errors import InputError, shorten
from charrnn.options.ranges import (
    AT_LEAST_1,
    BELOW_1,
    ENCODING,
    FIXED,
    PATH,
    Paths,
    check_ranges,
    one_of,
    require,
)

SPLITS = ("train", "val", "test")
LINES = one_of("auto", "keep", "shuffle")


@dataclass(frozen=True)
class SourceOptions:
    """Where a text is: itself, or as what `charrnn preprocess` made of it.

    Raises:
        InputError: two do not go together, or a path is none.

    Attributes:
        PREFIX: what the command line has before the names.
    """

    PREFIX: ClassVar[str] = "data."

    input_txt: Paths = None
    input_h5: Annotated[str | None, PATH] = None
    input_json: Annotated[str | None, PATH] = None

    def __post_init__(self) -> None:
        check_ranges(self, self.PREFIX)
        self._require_one_source()

    def _require_one_source(self) -> None:
        """An HDF5 file comes with its JSON, and not with a text."""
        h5, json = self.input_h5, self.input_json
        name, value = ("input_h5", h5) if json is None else ("input_json", json)
        both = "data.input_h5 and data.input_json belong together; give both"
        require((h5 is None) == (json is None), f"data.{name}", value, both)
        one = "give either this pair or data.input_txt, not both"
        require(h5 is None or self.input_txt is None, "data.input_h5", h5, one)


@dataclass(frozen=True)
class SplitOptions:
    """How a text is read and split, which `charrnn.text.preprocessing.preprocess` goes by.

    What each field does stands in a line in ``conf/preprocess.yaml``.

    Raises:
        InputError: a value is out of its range.
    """

    PREFIX: ClassVar[str] = ""

    val_frac: Annotated[float, BELOW_1, FIXED] = 0.1
    test_frac: Annotated[float, BELOW_1, FIXED] = 0.1
    encoding: Annotated[str, ENCODING, FIXED] = "utf-8"
    lines: Annotated[str, LINES, FIXED] = "auto"

    def __post_init__(self) -> None:
        check_ranges(self, self.PREFIX)
        if self.val_frac + self.test_frac >= 1:
            p = self.PREFIX
            raise InputError(
                f"{p}val_frac={self.val_frac} {p}test_frac={self.test_frac}: together they must be "
                "below 1, so that a part is left to train on"
            )


@dataclass(frozen=True)
class DataOptions(SplitOptions, SourceOptions):
    """A text as it is trained on.

    `TextDataModule` takes these fields and ``charrnn train`` has them as ``data.NAME=``; a line on
    each stands in ``conf/base/data.yaml``, which ``charrnn train --help=all`` prints.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """

    PREFIX: ClassVar[str] = "data."

    corpus: Annotated[str | None, FIXED] = None
    background: Annotated[str | list[str] | None, PATH, FIXED] = None
    batch_size: Annotated[int | None, AT_LEAST_1, FIXED] = None
    seq_length: Annotated[int, AT_LEAST_1, FIXED] = 64
    shuffle: Annotated[bool, FIXED] = True

    def __post_init__(self) -> None:
        require(
            self.input_txt != "-",
            "data.input_txt",
            "-",
            "training reads its text more than once; first `charrnn preprocess input_txt=- "
            "output_h5=FILE`, then give data.input_h5= and data.input_json=",
        )
        super().__post_init__()
        self._require_one_source()


def without_default_corpus(options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Options of the data without the corpus that a default names, where another text is given.

    Args:
        options: corpus, input_txt and input_h5, and others that are left alone.
        given: the options, ``data.corpus`` say, that were asked for rather than set by default.

    Raises:
        InputError: the corpus and another text were both asked for.
    """
    corpus = options["corpus"]
    other = next((name for name in ("input_txt", "input_h5") if options[name] is not None), None)
    if other is None or corpus is None:
        return dict(options)
    if "data.corpus" in given or {"data", f"data.{other}"} <= {*given}:
        raise InputError(
            f"data.corpus={shorten(corpus)}: data.{other} says which text it is already; give "
            f"one of the two"
        )
    return {**options, "corpus": None}
