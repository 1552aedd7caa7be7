"""What may be asked for of a text, before anything is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import InputError, shown
from charrnn.files import require_regular_file
from charrnn.options.datasets import DataOptions, SplitOptions, without_default_corpus
from charrnn.training import TextDataModule

SHA256 = "0f" * 32


def refusal(check: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as refused:
        check()
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000
    return str(refused.value)


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "latin-1", "utf-16", "gb18030", "bytes"])
def test_encodings(name: str) -> None:
    assert SplitOptions(encoding=name).encoding == name


@pytest.mark.parametrize(
    "name", ["utf-9", "", "hex", "rot13", "zip", "undefined", "utf-8\0", "x" * 10_000, None, 8]
)
def test_what_is_no_text_encoding(name: Any) -> None:
    line = refusal(lambda: DataOptions(encoding=name))
    assert line.startswith("data.encoding=")
    assert "latin-1" in line


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), float("inf"), "0.1", None])
def test_fractions_out_of_range(fraction: Any) -> None:
    for name in ("val_frac", "test_frac"):
        line = refusal(lambda name=name: DataOptions("x.txt", **{name: fraction}))
        assert line.startswith(f"data.{name}={fraction}: must be at least 0 and below 1")


def test_fractions_that_leave_nothing() -> None:
    line = refusal(lambda: SplitOptions(0.6, 0.4))
    assert line.startswith("val_frac=0.6 test_frac=0.4: together they must be below 1")


@pytest.mark.parametrize("value", ["", [], [""], ["a", 3], 5, ["a\0b"], "a\0b", "\0" * 10_000])
def test_what_is_no_path(value: Any) -> None:
    assert refusal(lambda: DataOptions(value)).startswith("data.input_txt=")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"url": "http://x/y"}, "data.url=http://x/y: give data.sha256= too"),
        ({"url": "x", "sha256": "abc"}, "data.sha256=abc: must be the 64 hexadecimal digits"),
        ({"url": "x", "sha256": SHA256 + "0"}, "must be the 64 hexadecimal digits"),
        ({"url": "x", "sha256": SHA256, "corpus": "other"}, "has a checksum of its own"),
        ({"url": "http://[", "sha256": SHA256}, "data.url=http://[: is no address"),
        ({"url": "http://x:y/", "corpus": "other"}, "data.url=http://x:y/: is no address"),
        ({"url": "a\0b", "sha256": SHA256}, "it holds a NUL"),
        ({"url": "http://x/a b", "sha256": SHA256}, "it holds ' ', which is written %20"),
        (
            {"corpus": "other", "input_txt": "x.txt"},
            "data.corpus=other: data.input_txt says",
        ),
        ({"url": "x", "input_txt": "x.txt"}, "data.url=x: data.input_txt says"),
        ({"url": "x", "sha256": SHA256, "input_txt": "x.txt"}, "give one of the two"),
        ({"input_txt": "-"}, "charrnn preprocess input_txt=-"),
    ],
)
def test_sources_that_contradict(options: dict[str, Any], line: str) -> None:
    assert line in refusal(lambda: TextDataModule(**options))


def test_a_default_corpus_gives_way_to_what_is_asked_for() -> None:
    data = {"corpus": "other", "url": None, "sha256": None, "input_txt": None, "x": 1}
    chosen = without_default_corpus
    assert chosen(data, ()) == data
    assert chosen({**data, "input_txt": "a"}, ["data.input_txt"])["corpus"] is None
    assert chosen({**data, "input_h5": "a"}, [])["corpus"] is None
    own = {**data, "url": "u", "sha256": SHA256}
    assert chosen(own, ["data.url", "data.sha256"]) == {**own, "corpus": None}
    assert chosen({**data, "url": "u"}, ["data.url"]) == {**data, "url": "u"}
    for other in ("input_txt", "input_h5"):
        line = refusal(lambda other=other: chosen({**data, other: "a"}, ["data.corpus"]))
        assert line.startswith(f"data.corpus=other: data.{other} says")
    assert "data.sha256 says" in refusal(lambda: chosen(own, ["data.corpus"]))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        line = refusal(lambda path=path: require_regular_file(path, "make one"))
        assert line == f"{path}: is no regular file; make one"
    for name in ("a\0b", "x" * 5000):
        line = refusal(lambda name=name: require_regular_file(tmp_path / name, "make one"))
        assert "cannot be read" in line


def test_long_values_are_cut() -> None:
    assert shown("x" * 300) == "x" * 300
    assert shown(3.5) == "3.5"
    cut = shown("a" * 5000 + "z" * 5000)
    assert cut.startswith("aaa")
    assert cut.endswith("zzz")
    assert "(10000 characters)" in cut
    assert len(cut) < 300
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert len(shown(nested)) < 300
    assert len(shown(10**5000)) < 300


def test_checking_imports_nothing_heavy() -> None:
    heavy = {"numpy", "h5py", "urllib.request"}
    program = f"import charrnn.options.datasets, sys; print({heavy} & {{*sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "set()\n", result
