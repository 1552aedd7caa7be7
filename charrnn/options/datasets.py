"""The options of a text: its source, its splits and its windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import PATH, SEED, Options, Range, interval, one_of, require

SPLITS = ("train", "val", "test")
DEFAULT_SPLIT = 0.1, 2_000_000  # share of the text, and characters at most
Wrap = Annotated[str, one_of("auto", "join", "keep")]
ENCODING = Range(  # as str.encode knows them
    lambda name: name == "bytes" or isinstance("".encode(name), bytes),
    "is not a text encoding; try utf-8, latin-1 or bytes",
)


@dataclass(frozen=True)
class SourceOptions(Options):
    """The files of a text: the text, or its HDF5 and JSON files from `charrnn preprocess`."""

    input_txt: Annotated[str | list[str] | None, PATH] = None
    input_h5: Annotated[str | None, PATH] = None
    input_json: Annotated[str | None, PATH] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        h5, json = self.input_h5, self.input_json
        both = "and data.input_json are a pair; give both, or none"
        require((h5 is None) == (json is None), "data.input_h5", h5, both)
        one = "give either this pair or data.input_txt, not both (data.input_txt=null unsets it)"
        require(h5 is None or self.input_txt is None, "data.input_h5", h5, one)


@dataclass(frozen=True)
class SplitOptions(Options):
    """The encoding and the splits of a text; ``conf/preprocess.yaml`` explains each field."""

    val_frac: Annotated[float | None, interval(ge=0, lt=1)] = None
    test_frac: Annotated[float | None, interval(ge=0, lt=1)] = None
    encoding: Annotated[str, ENCODING] = "utf-8"
    lines: Annotated[str, one_of("auto", "keep", "shuffle")] = "auto"
    wrap: Wrap = "keep"

    def __post_init__(self) -> None:
        super().__post_init__()
        val, test = (DEFAULT_SPLIT[0] if f is None else f for f in (self.val_frac, self.test_frac))
        name = f"{self.PREFIX}val_frac={val} {self.PREFIX}test_frac"
        hint = "together they must be below 1, so that a part is left to train on"
        require(val + test < 1, name, test, hint)
        is_readable = self.wrap != "join" or self.encoding != "bytes"
        require(is_readable, f"{self.PREFIX}wrap", "join", "needs a text encoding, not bytes")


@dataclass(frozen=True)
class DataOptions(SplitOptions, SourceOptions):
    """The options of a text for training: arguments of `TextDataModule`, and ``data.NAME=``.

    ``conf/base/data.yaml`` explains each field, and ``charrnn train --help`` prints it.
    """

    PREFIX = "data."

    wrap: Wrap = "auto"
    background: Annotated[str | list[str] | None, PATH] = None
    batch_size: Annotated[int | None, interval(ge=1)] = None
    seq_length: Annotated[int, interval(ge=1)] = 64
    shuffle: bool = True
    seed: Annotated[int | None, SEED] = 0

    def __post_init__(self) -> None:
        hint = (
            "training reads its text more than once; first `charrnn preprocess input_txt=- "
            "output_h5=FILE`, then give data.input_h5= and data.input_json="
        )
        require(self.input_txt != "-", "data.input_txt", "-", hint)
        super().__post_init__()
