"""A text: where it comes from, how it is split, and how it is cut into windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from charrnn.errors import InputError, shown
from charrnn.options.ranges import (
    AT_LEAST_1,
    BELOW_1,
    ENCODING,
    FIXED,
    PATH,
    SHA256,
    TEXT,
    Paths,
    Range,
    check_ranges,
    one_of,
    require,
    require_path,
)

SPLITS = ("train", "val", "test")
LINES = one_of("auto", "keep", "shuffle")
LINE_ENDS = one_of("keep", "unix")


def is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _is_address(url: str) -> bool:
    """Whether it may be asked for, as far as can be told without doing so."""
    if not is_http(url):
        return url != "" and "\0" not in url
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.port != 0 and all("!" <= c <= "~" for c in url))
    except ValueError:
        return False


ADDRESS = Range(_is_address, "must be a path, or an http(s) address in ASCII (a space is %20)")


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
        _require_paths(f"{self.PREFIX}input_txt", self.input_txt)
        _require_h5_pair(self.PREFIX, self.input_h5, self.input_json, self.input_txt)


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
    line_ends: Annotated[str, LINE_ENDS, FIXED] = "keep"
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
    each stands in ``conf/base/data.yaml``, which ``charrnn train --help`` prints.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """

    PREFIX: ClassVar[str] = "data."

    corpus: Annotated[str | None, FIXED] = None
    url: Annotated[str | None, TEXT, ADDRESS] = None
    sha256: Annotated[str | None, TEXT, SHA256] = None
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
        SourceOptions.__post_init__(self)
        super().__post_init__()

    def require_one_text(self) -> None:
        """Raise InputError unless there is one text: a path, a corpus, or an address and checksum.

        It is no condition of the options: of a default corpus and a text that is given, the
        command line takes the text (`without_default_corpus`).
        """
        corpus, url, sha256 = self.corpus, self.url, self.sha256
        named = {"corpus": corpus, "url": url, "sha256": sha256}
        first = next((name for name, value in named.items() if value is not None), None)
        if first is None:
            return
        for name in ("input_txt", "input_h5"):
            if getattr(self, name) is not None:
                raise InputError(
                    f"data.{first}={shown(named[first])}: data.{name} says where the text is "
                    "already; give one of the two"
                )
        if sha256 is None and corpus is None:
            raise InputError(
                f"data.url={shown(url)}: give data.sha256= too, the checksum of what is there "
                f"(`sha256sum FILE` says it), or data.corpus=, the named corpus that it is"
            )
        if sha256 is not None and corpus is not None:
            raise InputError(
                f"data.sha256={shown(sha256)}: the corpus {shown(corpus)} has a checksum of its "
                f"own; leave data.sha256 or data.corpus out"
            )


def _require_paths(option: str, value: Any) -> None:
    """A path, several of them, or None."""
    names = value if isinstance(value, (list, tuple)) and value else [value]
    if value is not None and not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{option}={shown(value)}: takes a path or a list of paths: [a.txt,b.txt]")
    for name in names:
        require_path(option, name)


def _require_h5_pair(prefix: str, h5: str | None, json: str | None, txt: Any) -> None:
    """An HDF5 file comes with its JSON, and not with a text."""
    if (h5 is None) != (json is None):
        given = f"input_h5={shown(h5)}" if json is None else f"input_json={shown(json)}"
        raise InputError(
            f"{prefix}{given}: {prefix}input_h5 and {prefix}input_json belong together; give both"
        )
    if h5 is not None and txt is not None:
        raise InputError(
            f"{prefix}input_h5={shown(h5)}: give either this pair or {prefix}input_txt, not both"
        )
    require_path(f"{prefix}input_h5", h5)
    require_path(f"{prefix}input_json", json)


def without_default_corpus(
    options: Mapping[str, Any], given: Collection[str], prefix: str = "data."
) -> dict[str, Any]:
    """Options of the data without the corpus that a default names, where another text is given.

    ``data.input_txt=my.txt`` alone means that text, whatever corpus the config names; together
    with ``data.corpus=`` on the command line it would be ambiguous, and is refused.

    Args:
        options: corpus, url, sha256, input_txt and input_h5, and others that are left alone.
        given: the options, with their prefix, that were asked for rather than set by default.
    """
    options = dict(options)
    others = [name for name in ("input_txt", "input_h5") if options.get(name) is not None]
    replaced = ["corpus", "url", "sha256"] if others else []
    if not others and options.get("sha256") is not None:
        replaced = ["corpus"]
    for name in replaced:
        if options.get(name) is not None and f"{prefix}{name}" in given:
            second = others[0] if others else "sha256"
            raise InputError(
                f"{prefix}{name}={shown(options[name])}: {prefix}{second} says which text it is "
                "already; give one of the two"
            )
    return {**options, **{name: None for name in replaced if name in options}}
