"""A disk that is full, and folders that cannot be written or are removed under a run.

CI runs as root, for whom no mode bits make anything unwritable: limits on a file's size, small
file systems in memory, files in the place of folders and read-only mounts do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.models import checkpoint
from tests.faults.child import Fault, limit_files
from tests.faults.runs import differences, go_on, run, start, write_corpus
from tests.small_runs import Train

SHORT = "trainer.max_steps=20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_corpus(folder)
    return folder


@pytest.fixture
def place(folder: Path) -> Iterator[Path]:
    """A folder with a corpus, in which the runs that nothing happens to stay."""
    yield folder
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("whole"):
            shutil.rmtree(path)
        elif path.is_file() and not path.name.startswith("corpus"):
            path.unlink()


def whole(place: Path, *overrides: str) -> Path:
    """A run that nothing happens to."""
    name = "-".join(["whole", *overrides])
    if not (place / name).exists():
        run(start(name, SHORT, *overrides), place)
    return place / name


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    command = ["mount", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this user cannot mount ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        while os.path.ismount(folder):
            subprocess.run(["umount", folder], check=True)


def ends_with(place: Path, *expected: str) -> None:
    """The last line says all of it; there was no traceback; nothing half-written is left."""
    log = (place / "log.txt").read_text("utf-8")
    for text in expected:
        assert text in log.rstrip().splitlines()[-1]
    assert "Traceback" not in log
    assert not list(place.rglob("*.part"))


def step_of(run_folder: Path) -> int:
    return int(checkpoint.read(run_folder / "checkpoints" / "last.ckpt")["global_step"])


WRITES = [
    (("checkpoint", "begin", 4), 30_000, "run/checkpoints/last.ckpt", ()),
    (("export", "begin", 2), 10_000, "run/model.safetensors", ()),
    (("step", "backward", 10), 100, "run/metrics.csv", ("logger=csv",)),
    (("step", "backward", 10), 700, "/run: ", ()),  # TensorBoard's file has no name there
    # TensorBoard, whose file would be too large first, writes from a thread of its own
    (("sample", "begin", 2), 10, "run/samples/step-0000014.txt", ("logger=csv",)),
]


@pytest.mark.parametrize(
    ("fault", "size", "named", "overrides"),
    [WRITES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in WRITES[1:])],
)
def test_a_write_that_fails_is_named_and_nothing_is_lost(
    place: Path, fault: tuple[str, str, int], size: int, named: str, overrides: tuple[str, ...]
) -> None:
    words = start("run", SHORT, *overrides)
    run(words, place, Fault(*fault, partial(limit_files, size)), code=1)
    ends_with(place, named, "written (File too large)", "resume=run")
    assert step_of(place / "run") == 7
    run(go_on(place, "run"), place)
    assert differences(whole(place, *overrides), place / "run") == []


def fill(folder: Path) -> None:
    """Leave no room on a file system."""
    with open(folder / "ballast", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


@pytest.mark.slow
def test_a_full_disk(place: Path) -> None:
    with mounted(place / "small", "-t", "tmpfs", "-o", "size=1m", "none") as small:
        full = Fault("step", "forward", 12, partial(fill, small))
        run(start("small/run", SHORT), place, full, code=1)
        ends_with(place, "small/run", "written (No space left on device)")
        # still full: it starts, and fails again with a line
        run(go_on(place, "small/run"), place, code=1)
        ends_with(place, "small/run", "written (No space left on device)")
        assert step_of(small / "run") == 7
        (small / "ballast").unlink()
        run(go_on(place, "small/run"), place)
        assert differences(whole(place), small / "run") == []
        # open files forbid a remount: what is open stays writable through a bind mount over it
        subprocess.run(["mount", "--bind", small, small], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", small], check=True)
        run(go_on(place, "small/run", "trainer.max_steps=30"), place, code=1)
        ends_with(place, "small/run", "(Read-only file system)")


@pytest.mark.parametrize(
    ("blocked", "named"),
    [
        ("run", "run: cannot be written ("),
        ("run/samples", "run/samples"),
        ("run/metrics.csv", "run/metrics.csv: cannot be read"),
        ("corpus.txt", "corpus.txt/run: cannot be written (Not a directory)"),
    ],
)
def test_a_file_or_folder_in_the_way(
    place: Path, monkeypatch: pytest.MonkeyPatch, blocked: str, named: str,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    path = place / blocked
    path.parent.mkdir(exist_ok=True)
    if blocked == "run/metrics.csv":
        path.mkdir()
    else:
        path.touch()
    name = "corpus.txt/run" if blocked == "corpus.txt" else "run"
    capfd.readouterr()
    assert main(start(name, SHORT)) == 1
    err = capfd.readouterr().err
    assert named in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.slow
def test_the_folder_is_moved_under_the_run(place: Path) -> None:
    moved = Fault("step", "forward", 9, partial(os.rename, place / "run", place / "elsewhere"))
    run(start("run", SHORT), place, moved, code=1)
    ends_with(place, "run/", "the run's folder is gone")
    assert not (place / "run").exists()
    run(go_on(place, "elsewhere"), place)
    assert differences(whole(place), place / "elsewhere") == []


def test_no_link_to_the_latest_run_is_no_failure(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workplace / "outputs").touch()
    train("trainer.max_steps=1")
    assert "outputs/latest does not link to this run (" in capfd.readouterr().err
