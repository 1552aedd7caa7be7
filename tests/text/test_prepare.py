"""A text is preprocessed into the cache when there is need, once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from charrnn.data import open_data
from charrnn.errors import InputError, RunError
from charrnn.options.datasets import DataOptions
from charrnn.text.preprocessing import prepare_files
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Capture, Patch, write_files
from tests.text.conftest import read_text


@pytest.fixture(autouse=True)
def _in_a_folder(folder: Path, cache: Path) -> None:
    Path("x.txt").write_text("the text")


def ready(input_txt: Any = "x.txt", **options: Any) -> tuple[Path, Path]:
    return prepare_files(DataOptions(input_txt, **options))


def read_prepared(pair: tuple[Path, Path], cache: Path) -> str:
    assert [path.parent for path in pair] == [cache / "prepared"] * 2
    return read_text(pair[0])


def test_ids_are_made_once_and_again_if_they_are_missing(cache: Path, capsys: Capture) -> None:
    pair = ready()
    assert capsys.readouterr().err == "preprocessed x.txt\n"
    Path("new").mkdir()
    Path("x.txt").rename("new/x.txt")
    assert ready("new/x.txt", encoding="utf8") == pair
    assert capsys.readouterr().err == ""
    pair[1].unlink()
    assert ready("new/x.txt") == pair
    assert read_prepared(pair, cache) == "the text"
    assert os.listdir("new") == ["x.txt"]


def test_a_changed_text_is_done_again_and_the_old_ids_stay(cache: Path) -> None:
    old, before = ready(), Path("x.txt").stat()
    Path("x.txt").write_text("the test")  # as long, and as old
    os.utime("x.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_prepared(ready(), cache) == "the test"
    assert read_prepared(old, cache) == "the text"


def test_files_that_do_not_belong_together_are_refused() -> None:
    h5, json = ready()
    Vocabulary(list("xyz")).write_json(json)
    with pytest.raises(InputError, match=r"\.h5: its vocabulary is not .*\.json; give the JSON"):
        open_data(h5, json)


def test_lists_globs_and_options_have_files_of_their_own(cache: Path) -> None:
    write_files(Path(), {"y.txt": " goes on", "t/a.txt": "aa"})
    assert read_prepared(ready("t/"), cache) == "aa"
    assert read_prepared(ready(["y.txt", "x.txt"]), cache) == " goes onthe text"
    assert read_prepared(ready("*.txt"), cache) == "the text goes on"
    options = {"val_frac": 0.3, "test_frac": 0.3, "encoding": "latin-1", "lines": "shuffle"}
    pairs = {ready(), *(ready(**{name: value}) for name, value in options.items())}
    assert len(pairs) == len(options) + 1
    assert all(read_prepared(pair, cache).startswith("the text") for pair in pairs)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")
def test_a_cache_in_which_nothing_can_be_written(monkeypatch: Patch) -> None:
    monkeypatch.setenv("CHARRNN_CACHE", "/proc/cache")
    with pytest.raises(RunError, match=r"/proc/cache.*cannot be written"):
        ready()


def test_jobs_started_together_preprocess_a_text_once(cache: Path, capsys: Capture) -> None:
    Path("x.txt").write_text("0123456789" * 500_000)
    with ThreadPoolExecutor(3) as pool:
        [pair] = {*pool.map(ready, ["x.txt"] * 3)}
    assert capsys.readouterr().err == "preprocessed x.txt\n"
    assert sorted(Path(cache, "prepared").iterdir()) == sorted(pair)
    assert read_prepared(pair, cache) == "0123456789" * 500_000
