"""A text is preprocessed when there is need, once, and never over files of others."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.data import open_data
from charrnn.errors import InputError, RunError
from charrnn.options.datasets import DataOptions
from charrnn.text.preprocessing import prepare_files
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Capture, Patch, write_files
from tests.text.conftest import read_text

BESIDE = (Path("x.h5"), Path("x.json"))


@pytest.fixture(autouse=True)
def _in_a_folder(folder: Path, cache: Path) -> None:
    Path("x.txt").write_text("the text")


def ready(input_txt: Any = "x.txt", **options: Any) -> tuple[Path, Path]:
    return prepare_files(DataOptions(input_txt, **options))


def read_from_cache(pair: tuple[Path, Path], cache: Path) -> str:
    assert [path.parent for path in pair] == [cache / "prepared"] * 2
    return read_text(pair[0])


def test_ids_are_made_once_under_the_names_of_preprocess(capsys: Capture) -> None:
    assert main(["preprocess", "input_txt=./x.txt", "encoding=utf8"]) == 0
    assert ready() == BESIDE
    assert capsys.readouterr().err == ""
    for path in BESIDE:
        path.unlink()
    assert ready() == BESIDE
    assert capsys.readouterr().err == "x.h5: preprocessed from x.txt\n"
    before = BESIDE[0].stat().st_mtime_ns
    Path("new").mkdir()
    os.utime("x.txt", ns=(10**18, 10**18))
    for name in ("x.txt", *BESIDE):
        Path(name).rename(Path("new", name))
    assert ready("new/x.txt")[0].stat().st_mtime_ns == before
    assert capsys.readouterr().err == ""


def test_a_changed_text_is_done_again_and_the_old_ids_stay(cache: Path) -> None:
    ready()
    before = Path("x.txt").stat()
    Path("x.txt").write_text("the test")  # as long, and as old
    os.utime("x.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    pair = ready()
    assert read_from_cache(pair, cache) == "the test"
    assert read_text() == "the text"
    pair[1].unlink()
    assert ready() == pair
    assert read_from_cache(pair, cache) == "the test"


def test_files_that_do_not_belong_together_are_refused(cache: Path) -> None:
    """Check what a kill between the two replacements leaves, and a mistaken command line."""
    assert ready() == BESIDE
    Vocabulary(list("xyz")).write_json(BESIDE[1])
    with pytest.raises(InputError, match=r"^x\.h5: its vocabulary is not x\.json; give the JSON"):
        open_data(*BESIDE)
    assert read_from_cache(ready(), cache) == "the text"


def test_lists_globs_and_other_options_have_files_of_their_own(cache: Path) -> None:
    write_files(Path(), {"y.txt": " goes on", "t/a.txt": "aa"})
    assert read_text(ready("t/")[0]) == "aa"
    assert read_from_cache(ready(["y.txt", "x.txt"]), cache) == " goes onthe text"
    assert read_from_cache(ready("*.txt"), cache) == "the text goes on"
    ready()
    before = BESIDE[0].read_bytes()
    options = {"val_frac": 0.3, "test_frac": 0.3, "encoding": "latin-1", "lines": "shuffle"}
    pairs = {ready(**{name: value}) for name, value in options.items()}
    assert len(pairs) == len(options)
    assert all(read_from_cache(pair, cache).startswith("the text") for pair in pairs)
    assert BESIDE[0].read_bytes() == before
    assert ready(val_frac=0.3) in pairs


@pytest.mark.parametrize("name", ["x.h5", "x.json"])
def test_files_of_others_are_not_changed(cache: Path, name: str) -> None:
    Path(name).write_bytes(b'{"mine": 1}')
    pair = ready()
    assert read_from_cache(pair, cache) == "the text"
    assert Path(name).read_bytes() == b'{"mine": 1}'
    Path(name).unlink()
    os.mkfifo(name)  # which is not waited for
    assert ready() == pair


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")
def test_a_text_beside_which_nothing_can_be_written(cache: Path, monkeypatch: Patch) -> None:
    assert read_from_cache(ready("/proc/version"), cache) == Path("/proc/version").read_text()
    monkeypatch.setenv("CHARRNN_CACHE", "/proc/cache")
    with pytest.raises(RunError, match=r"/proc/cache.*cannot be written"):
        ready("/proc/version")


def test_jobs_started_together_preprocess_a_text_once(capsys: Capture) -> None:
    Path("x.txt").write_text("0123456789" * 500_000)
    with ThreadPoolExecutor(3) as pool:
        assert [*pool.map(ready, ["x.txt"] * 3)] == [BESIDE] * 3
    assert capsys.readouterr().err == "x.h5: preprocessed from x.txt\n"
    assert sorted(os.listdir()) == ["x.h5", "x.json", "x.txt"]
    assert read_text() == "0123456789" * 500_000
