"""Automatic preprocessing: when there is need, once, and never over somebody's work."""

from __future__ import annotations

import gzip
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

from charrnn.errors import InputError, RunError
from charrnn.options.datasets import DataOptions, SplitOptions
from charrnn.text import corpora
from charrnn.text.prepare import prepare
from charrnn.text.preprocessing import preprocess
from charrnn.text.vocabulary import Vocabulary


def silent(line: str) -> None:
    pass


def ready(input_txt: Any = "x.txt", **options: Any) -> tuple[Path, Path]:
    return prepare(DataOptions(input_txt, **options), silent)


def text_of(pair: tuple[Path, Path]) -> str:
    vocabulary = Vocabulary.read_json(pair[1])
    with h5py.File(pair[0], "r") as file:
        return "".join(
            vocabulary.decode(file[s][:].astype(int) - 1) for s in ("train", "val", "test")
        )


@pytest.fixture(autouse=True)
def _in_a_folder(folder: Path, cache: Path) -> None:
    Path("x.txt").write_text("the text")


BESIDE = (Path("x.h5"), Path("x.json"))


def names() -> list[str]:
    return sorted(os.listdir())


class TestBesideTheText:
    def test_it_is_made_under_preprocess_own_names(self) -> None:
        assert ready() == BESIDE
        assert text_of(BESIDE) == "the text"
        assert names() == ["x.h5", "x.json", "x.txt"]

    def test_it_is_made_once(self) -> None:
        ready()
        before = BESIDE[0].stat()
        assert ready() == BESIDE
        assert BESIDE[0].stat() == before

    def test_what_preprocess_made_is_used(self) -> None:
        preprocess("./x.txt", None, None, SplitOptions(encoding="utf8"))
        before = BESIDE[0].stat()
        assert ready() == BESIDE
        assert BESIDE[0].stat() == before

    def test_a_changed_text_is_done_again(self) -> None:
        ready()
        Path("x.txt").write_text("another one")
        assert ready() == BESIDE
        assert text_of(BESIDE) == "another one"

    def test_a_change_that_keeps_size_and_time_is_seen(self) -> None:
        os.utime("x.txt", ns=(10**18, 10**18))
        ready()
        Path("x.txt").write_text("the test")
        os.utime("x.txt", ns=(10**18, 10**18))
        assert text_of(ready()) == "the test"

    def test_a_touched_text_is_not_done_again(self) -> None:
        ready()
        before = BESIDE[0].stat()
        os.utime("x.txt", ns=(10**18, 10**18))
        ready()
        assert BESIDE[0].stat() == before

    @pytest.mark.parametrize("lost", BESIDE)
    def test_a_lost_file_is_made_again(self, lost: Path) -> None:
        ready()
        lost.unlink()
        assert ready() == BESIDE
        assert text_of(BESIDE) == "the text"

    def test_a_json_of_other_data_is_replaced(self) -> None:
        ready()
        Vocabulary(list("xyz")).write_json(BESIDE[1])
        assert ready() == BESIDE
        assert text_of(BESIDE) == "the text"

    def test_a_folder_whose_files_change(self) -> None:
        Path("t").mkdir()
        Path("t/b.txt").write_text("b")
        assert text_of(ready("t")) == "b"
        assert Path("t.h5").is_file()
        Path("t/a.txt").write_text("a")
        assert text_of(ready("t/")) == "ab"
        Path("t/b.txt").unlink()
        assert text_of(ready("t")) == "a"

    def test_a_copied_folder_still_has_its_files(self) -> None:
        ready()
        Path("new").mkdir()
        for name in ("x.txt", *BESIDE):
            Path(name).rename(Path("new", name))
        before = Path("new/x.h5").stat()
        assert ready("new/x.txt") == (Path("new/x.h5"), Path("new/x.json"))
        assert Path("new/x.h5").stat() == before


class TestInTheCache:
    def is_in_cache(self, pair: tuple[Path, Path], cache: Path) -> bool:
        return all(path.parent == cache / "prepared" for path in pair)

    def test_other_options_have_files_of_their_own(self, cache: Path) -> None:
        ready()
        before = BESIDE[0].read_bytes()
        pairs = {
            ready(val_frac=0.3),
            ready(test_frac=0.3),
            ready(encoding="bytes"),
            ready(encoding="latin-1"),
        }
        assert len(pairs) == 4
        assert all(self.is_in_cache(pair, cache) for pair in pairs)
        assert all(pair[0].name.startswith("x-") for pair in pairs)
        assert BESIDE[0].read_bytes() == before
        again = ready(val_frac=0.3)
        assert again in pairs
        with h5py.File(again[0], "r") as file:
            assert len(file["val"]) == 2

    @pytest.mark.parametrize("name", ["x.h5", "x.json"])
    def test_what_is_not_ours_is_left_alone(self, cache: Path, name: str) -> None:
        Path(name).write_bytes(b'{"mine": 1}')
        said: list[str] = []
        pair = prepare(DataOptions("x.txt"), said.append)
        assert self.is_in_cache(pair, cache)
        assert text_of(pair) == "the text"
        assert Path(name).read_bytes() == b'{"mine": 1}'
        assert said[0] == "x.h5: not made from x.txt with these options; left as it is"

    def test_torch_rnns_own_files_are_left_alone(self, cache: Path) -> None:
        with h5py.File("x.h5", "w") as file:
            file["train"] = [1]
        assert self.is_in_cache(ready(), cache)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("source", b"bytes"),
            ("source", b"\xff\xfe"),
            ("source", 5),
            ("source", [1, 2, 3]),
            ("source", ["a", "b"]),
            ("source", h5py.Empty("f4")),
            ("source", "null"),
            ("source", "[" * 30_000),
            ("source", "9" * 30_000),
            ("source", '{"read_at": 1e999}'),
            ("source", "RECORDED with read_at 1" + "0" * 5000),
            ("source", "RECORDED with read_at NaN"),
            ("source", "RECORDED with read_at 1e999"),
            ("source", "RECORDED with read_at null"),
            ("vocabulary", [1, 2]),
            ("vocabulary", np.zeros((2, 2))),
            ("time", np.void(b"12345678")),
        ],
    )
    def test_whatever_its_attributes_are(self, name: str, value: Any) -> None:
        ready()
        with h5py.File("x.h5", "a") as file:
            if isinstance(value, str) and value.startswith("RECORDED"):
                source = json.loads(file.attrs["source"])
                source["read_at"] = "@"
                value = json.dumps(source).replace('"@"', value.rpartition(" ")[2])
            file.attrs[name] = value
        assert text_of(ready()) == "the text"

    def test_an_attribute_of_a_type_that_numpy_lacks(self, cache: Path) -> None:
        with h5py.File("x.h5", "w") as file:
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(file.id, b"source", h5py.h5t.UNIX_D32LE, space)
        assert self.is_in_cache(ready(), cache)

    @pytest.mark.parametrize("name", ["x.h5", "x.json"])
    def test_a_pipe_of_its_name_is_not_waited_for(self, cache: Path, name: str) -> None:
        os.mkfifo(name)
        assert self.is_in_cache(ready(), cache)

    def test_files_of_another_text_are_left_alone(self, cache: Path) -> None:
        Path("y.txt").write_text("other")
        preprocess("y.txt", Path("x.h5"), None, SplitOptions())
        assert self.is_in_cache(ready(), cache)
        assert text_of(BESIDE) == "other"

    def test_lists_and_globs_go_there(self, cache: Path) -> None:
        Path("y.txt").write_text(" goes on")
        listed, matched = ready(["y.txt", "x.txt"]), ready("*.txt")
        assert self.is_in_cache(listed, cache)
        assert self.is_in_cache(matched, cache)
        assert text_of(listed) == " goes onthe text"
        assert text_of(matched) == "the text goes on"
        Path("z.txt").write_text("!")
        assert ready("*.txt") == matched
        assert text_of(matched) == "the text goes on!"

    def test_two_texts_of_one_name_do_not_meet(self, cache: Path) -> None:
        Path("a").mkdir()
        Path("a/x.txt").write_text("the other text")
        for place in (".", "a"):
            Path(place, "x.h5").write_text("mine")
        assert text_of(ready()) == "the text"
        assert text_of(ready("a/x.txt")) == "the other text"
        assert text_of(ready()) == "the text"

    @pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")
    def test_a_folder_that_cannot_be_written_is_no_obstacle(self, cache: Path) -> None:
        pair = ready("/proc/version")
        assert self.is_in_cache(pair, cache)
        assert text_of(pair) == Path("/proc/version").read_text()
        assert ready("/proc/version") == pair

    @pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")
    def test_nowhere_to_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHARRNN_CACHE", "/proc/cache")
        with pytest.raises(RunError, match=r"/proc/cache.*cannot be written"):
            ready("/proc/version")


class TestWhatIsAsked:
    def test_a_named_corpus(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        content = Path("x.txt").read_bytes()
        tiny = replace(
            corpora.CORPORA["tiny_shakespeare"], sha256=hashlib.sha256(content).hexdigest()
        )
        monkeypatch.setitem(corpora.CORPORA, "tiny_shakespeare", tiny)
        pair = ready(None, corpus="tiny_shakespeare", url="x.txt")
        assert text_of(pair) == "the text"
        assert pair[0] == cache / "corpora" / "tiny_shakespeare.h5"

    @pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
    def test_a_text_of_ones_own_that_is_downloaded(self, cache: Path, name: str) -> None:
        content = gzip.compress(b"the text") if name.endswith(".gz") else b"the text"
        Path(name).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest().upper()
        said: list[str] = []
        corpus = DataOptions(url=name, sha256=sha256)
        pair = prepare(corpus, said.append)
        assert text_of(pair) == "the text"
        assert pair[0] == cache / "corpora" / f"text-{sha256[:16].lower()}.h5"
        assert said[0] == f"the text: fetching {name}"
        Path(name).unlink()
        assert prepare(corpus, pytest.fail) == pair

    def test_standard_input_is_refused_with_the_way_round(self) -> None:
        with pytest.raises(InputError, match="charrnn preprocess input_txt=-"):
            ready("-")

    def test_a_pipe_is_refused(self) -> None:
        os.mkfifo("pipe")
        with pytest.raises(InputError, match="read twice"):
            ready("pipe")

    def test_line_ends_of_windows_are_told(self) -> None:
        Path("x.txt").write_bytes(b"one\r\ntwo\r\n")
        said: list[str] = []
        prepare(DataOptions("x.txt"), said.append)
        assert said[0] == "x.h5: preprocessed from x.txt"
        assert said[1].startswith("the text has line ends of Windows (\\r\\n)")
        assert said[1].endswith("data.line_ends=unix leaves it out")
        prepare(DataOptions("x.txt"), pytest.fail)

    def test_line_ends_become_those_of_unix(self) -> None:
        text = "".join(f"{n % 7}\r\n\n{n % 5}\rx" for n in range(50_000)) + "\r"  # many pieces
        Path("x.txt").write_bytes(text.encode())
        kept = prepare(DataOptions("x.txt"), lambda line: None)
        assert text_of(kept) == text
        said: list[str] = []
        pair = prepare(DataOptions("x.txt", line_ends="unix"), said.append)
        assert text_of(pair) == text.replace("\r\n", "\n").replace("\r", "\n")
        assert not [line for line in said if "Windows" in line]
        assert prepare(DataOptions("x.txt", line_ends="unix"), pytest.fail) == pair
        with pytest.raises(InputError, match=r"data\.line_ends=dos: must be one of keep, unix"):
            DataOptions("x.txt", line_ends="dos")

    def test_nothing_at_all(self) -> None:
        with pytest.raises(InputError, match="data=shakespeare"):
            ready(None)

    def test_a_text_that_fails_leaves_nothing(self) -> None:
        Path("x.txt").write_bytes(b"\xff")
        with pytest.raises(InputError, match=r"x\.txt: not utf-8 at byte 0"):
            ready()
        assert names() == ["x.txt"]


def test_jobs_started_together_do_it_once() -> None:
    Path("x.txt").write_text("0123456789" * 500_000)
    program = "from tests.text.test_prepare import *;print(*prepare(DataOptions('x.txt'), print))"
    repository = Path(__file__).parents[2]
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(repository)},
        )
        for _ in range(3)
    ]
    lines = [line for job in jobs for line in job.communicate()[0].splitlines()]
    assert sorted(lines) == ["x.h5 x.json"] * 3 + ["x.h5: preprocessed from x.txt"]
    assert names() == ["x.h5", "x.json", "x.txt"]
