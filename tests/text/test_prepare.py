"""Automatic preprocessing: when there is need, once, and never over somebody's work."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from charrnn.__main__ import main
from charrnn.data import open_data
from charrnn.errors import InputError, RunError
from charrnn.options.datasets import DataOptions
from charrnn.text import corpora
from charrnn.text.prepare import prepare
from charrnn.text.vocabulary import Vocabulary
from tests import REPOSITORY

BESIDE = (Path("x.h5"), Path("x.json"))


@pytest.fixture(autouse=True)
def _in_a_folder(folder: Path, cache: Path) -> None:
    Path("x.txt").write_text("the text")


def ready(input_txt: Any = "x.txt", **options: Any) -> tuple[Path, Path]:
    return prepare(DataOptions(input_txt, **options), lambda line: None)


def text_of(pair: tuple[Path, Path] = BESIDE) -> str:
    data = open_data(*pair)
    parts = (data.unread(split)[:] for split in ("train", "val", "test"))
    return data.vocabulary.decode(np.concatenate(list(parts)).tolist())


def is_in_cache(pair: tuple[Path, Path], cache: Path) -> bool:
    return all(path.parent == cache / "prepared" for path in pair)


class TestBesideTheText:
    def test_it_is_made_once_under_preprocess_own_names(self) -> None:
        assert ready() == BESIDE
        assert text_of() == "the text"
        assert sorted(os.listdir()) == ["x.h5", "x.json", "x.txt"]
        before = BESIDE[0].stat()
        os.utime("x.txt", ns=(10**18, 10**18))
        assert prepare(DataOptions("./x.txt"), pytest.fail) == BESIDE
        assert BESIDE[0].stat() == before

    def test_what_preprocess_made_is_used(self) -> None:
        assert main(["preprocess", "input_txt=./x.txt", "encoding=utf8"]) == 0
        assert prepare(DataOptions("x.txt"), pytest.fail) == BESIDE

    @pytest.mark.parametrize("text", ["another one", "the test"])
    def test_a_changed_text_is_done_again(self, text: str) -> None:
        os.utime("x.txt", ns=(10**18, 10**18))
        ready()
        Path("x.txt").write_text(text)
        os.utime("x.txt", ns=(10**18, 10**18))
        assert ready() == BESIDE
        assert text_of() == text

    def test_a_file_that_is_lost_or_of_other_data_is_made_again(self) -> None:
        for spoil in (
            BESIDE[0].unlink,
            BESIDE[1].unlink,
            lambda: Vocabulary(list("xyz")).write_json(BESIDE[1]),
        ):
            ready()
            spoil()
            assert ready() == BESIDE
            assert text_of() == "the text"

    def test_a_folder_whose_files_change(self) -> None:
        Path("t").mkdir()
        for name, content, whole in (("b", "b", "b"), ("a", "a", "ab"), ("b", "", "a")):
            Path(f"t/{name}.txt").write_text(content)
            assert text_of(ready("t/")) == whole
        assert Path("t.h5").is_file()

    def test_a_copied_folder_still_has_its_files(self) -> None:
        ready()
        Path("new").mkdir()
        for name in ("x.txt", *BESIDE):
            Path(name).rename(Path("new", name))
        pair = (Path("new/x.h5"), Path("new/x.json"))
        assert prepare(DataOptions("new/x.txt"), pytest.fail) == pair


class TestInTheCache:
    def test_other_options_have_files_of_their_own(self, cache: Path) -> None:
        ready()
        before = BESIDE[0].read_bytes()
        options: list[dict[str, Any]] = [
            {"val_frac": 0.3},
            {"test_frac": 0.3},
            {"encoding": "bytes"},
            {"encoding": "latin-1"},
            {"line_ends": "unix"},
            {"lines": "shuffle"},
        ]
        pairs = {ready(**option) for option in options}
        assert len(pairs) == len(options)
        assert all(is_in_cache(pair, cache) for pair in pairs)
        assert BESIDE[0].read_bytes() == before
        assert prepare(DataOptions("x.txt", val_frac=0.3), pytest.fail) in pairs

    @pytest.mark.parametrize("name", ["x.h5", "x.json"])
    def test_what_is_not_ours_is_left_alone(self, cache: Path, name: str) -> None:
        Path(name).write_bytes(b'{"mine": 1}')
        said: list[str] = []
        pair = prepare(DataOptions("x.txt"), said.append)
        assert is_in_cache(pair, cache)
        assert text_of(pair) == "the text"
        assert Path(name).read_bytes() == b'{"mine": 1}'
        assert said[0] == "x.h5: not made from x.txt with these options; left as it is"
        Path(name).unlink()
        os.mkfifo(name)  # which is not waited for
        assert ready() == pair
        Path("x.h5").unlink(missing_ok=True)
        Path("x.json").unlink(missing_ok=True)
        Path("y.txt").write_text("other")
        main(["preprocess", "input_txt=y.txt", "output_h5=x.h5"])
        assert ready() == pair
        assert text_of() == "other"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("source", b"bytes"),
            ("source", 5),
            ("source", [1, 2, 3]),
            ("source", h5py.Empty("f4")),
            ("source", "null"),
            ("source", "[" * 30_000),
            ("source", "9" * 30_000),
            ("source", '{"options": 1e999}'),
            ("vocabulary", np.zeros((2, 2))),
            ("time", np.void(b"12345678")),
        ],
    )
    def test_whatever_its_attributes_are(self, name: str, value: Any) -> None:
        ready()
        with h5py.File("x.h5", "a") as file:
            file.attrs[name] = value
        assert text_of(ready()) == "the text"

    def test_lists_and_globs_go_there(self, cache: Path) -> None:
        Path("y.txt").write_text(" goes on")
        listed, matched = ready(["y.txt", "x.txt"]), ready("*.txt")
        assert is_in_cache(listed, cache)
        assert is_in_cache(matched, cache)
        assert text_of(listed) == " goes onthe text"
        Path("z.txt").write_text("!")
        assert ready("*.txt") == matched
        assert text_of(matched) == "the text goes on!"

    def test_two_texts_of_one_name_do_not_meet(self) -> None:
        Path("a").mkdir()
        Path("a/x.txt").write_text("the other text")
        for place in (".", "a"):
            Path(place, "x.h5").write_text("mine")
        assert text_of(ready()) == "the text"
        assert text_of(ready("a/x.txt")) == "the other text"
        assert text_of(ready()) == "the text"

    @pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")
    def test_a_folder_that_cannot_be_written(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair = ready("/proc/version")
        assert is_in_cache(pair, cache)
        assert text_of(pair) == Path("/proc/version").read_text()
        monkeypatch.setenv("CHARRNN_CACHE", "/proc/cache")
        with pytest.raises(RunError, match=r"/proc/cache.*cannot be written"):
            ready("/proc/version")


class TestTexts:
    def test_a_named_corpus(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        sha256 = hashlib.sha256(b"the text").hexdigest()
        tiny = replace(corpora.CORPORA["tiny_shakespeare"], sha256=sha256)
        monkeypatch.setitem(corpora.CORPORA, "tiny_shakespeare", tiny)
        pair = ready(None, corpus="tiny_shakespeare", url="x.txt")
        assert text_of(pair) == "the text"
        assert pair[0] == cache / "corpora" / "tiny_shakespeare.h5"

    def test_a_text_of_ones_own_that_is_downloaded(self, cache: Path) -> None:
        sha256 = hashlib.sha256(b"the text").hexdigest()
        pair = ready(None, url="x.txt", sha256=sha256)
        assert text_of(pair) == "the text"
        assert pair[0] == cache / "corpora" / f"text-{sha256[:16]}.h5"
        Path("x.txt").unlink()
        assert prepare(DataOptions(url="x.txt", sha256=sha256), pytest.fail) == pair

    @pytest.mark.parametrize(
        ("input_txt", "line"),
        [
            ("-", "charrnn preprocess input_txt=-"),
            ("pipe", "is no regular file"),
            (None, "data=shakespeare"),
            ("bad.txt", r"bad\.txt: not utf-8 at byte 0.*data\.encoding="),
        ],
    )
    def test_what_is_refused_leaves_nothing(self, input_txt: str | None, line: str) -> None:
        os.mkfifo("pipe")
        Path("bad.txt").write_bytes(b"\xff")
        before = os.listdir()
        with pytest.raises(InputError, match=line):
            ready(input_txt)
        assert os.listdir() == before

    def test_what_few_would_expect_is_said_once(self) -> None:
        Path("x.txt").write_bytes(b"one\r\ntwo\r\n")
        said: list[str] = []
        prepare(DataOptions("x.txt"), said.append)
        assert said[0] == "x.h5: preprocessed from x.txt"
        assert said[1].startswith("the text has line ends of Windows (\\r\\n)")
        assert said[1].endswith("data.line_ends=unix leaves it out")
        prepare(DataOptions("x.txt"), pytest.fail)
        assert text_of(ready(line_ends="unix")) == "one\ntwo\n"


def test_jobs_started_together_do_it_once() -> None:
    Path("x.txt").write_text("0123456789" * 500_000)
    program = (
        "from charrnn.text.prepare import *; print(*prepare(DataOptions('x.txt'), print), sep=',')"
    )
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        for _ in range(3)
    ]
    lines = [line for job in jobs for line in job.communicate()[0].splitlines()]
    assert sorted(lines) == ["x.h5,x.json"] * 3 + ["x.h5: preprocessed from x.txt"]
    assert sorted(os.listdir()) == ["x.h5", "x.json", "x.txt"]
    assert json.loads(BESIDE[1].read_text())["token_to_idx"]["9"] == 10
