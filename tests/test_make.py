"""The Makefile names the package that pip works on, shows its log if it fails, and ends quietly."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.conftest import Patch, write_files

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
# GNU make 4.4 rarely waits once more for a child for which its handler of the signal has waited.
RACE = b"wait: No child processes"
PYTHON = """#!/bin/sh
test "$2" != charrnn || { shift 2; exec ./charrnn.sh "$@"; }
echo "Collecting torch<3,>=2.8 (from charrnn)"
sleep 3
echo "Installing collected packages: torch"
sleep 2
exit $(cat code)
"""
CHARRNN = """#!/bin/sh
test $1 = train || exec echo charrnn 1.0
trap 'echo the run is saved; exit 130' INT
echo training
while true; do sleep 0.1; done
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Make a folder with the Makefile, whose Python and charrnn are shell scripts."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # of a make that runs the tests
        monkeypatch.delenv(name, raising=False)
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    scripts = {".venv/bin/python": PYTHON, "charrnn.sh": CHARRNN, "python": "#!/bin/sh\n"}
    write_files(tmp_path, {"pyproject.toml": "", **scripts})
    for name in scripts:
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("code", [0, 1])
def test_setup_names_the_package_in_work(folder: Path, code: int) -> None:
    (folder / "code").write_text(str(code))
    words = ["make", "setup", "PYTHON=./python"]
    make = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    lines = make.stdout.splitlines()
    second, *rest = lines[lines.index("setup: Collecting torch") + 1 :]
    assert second == "setup: Installing the packages"
    if code == 0:
        assert (make.returncode, rest) == (0, ["charrnn 1.0"])
    else:
        assert make.returncode != 0
        assert rest[0].startswith("Collecting torch<3")  # the log
        assert rest[-1] == "setup: pip failed; it says why above"
    assert (folder / ".venv" / "bin" / ".ready").exists() == (code == 0)


def interrupt_make(folder: Path, target: str, begins: bytes) -> tuple[bytes, int]:
    """Press Ctrl-C after make has printed `begins`. Return all that it printed, and its status."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvp("make", ["make", target, "PYTHON=./python"])
    said = b""
    while begins not in said:
        said += os.read(terminal, 1000)
    time.sleep(0.2)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(process, 0)
    return said + os.read(terminal, 1000), status


@pytest.mark.parametrize(
    ("target", "begins", "ends"),
    [
        ("train", "training", "the run is saved"),
        ("setup", "setup: Collecting torch", "setup: interrupted; the same command continues it"),
    ],
)
def test_ctrl_c_ends_with_charrnns_line(folder: Path, target: str, begins: str, ends: str) -> None:
    ready = folder / ".venv" / "bin" / ".ready"
    if target == "train":
        ready.touch()
    said = RACE
    while RACE in said:
        said, status = interrupt_make(folder, target, begins.encode())
    assert said.decode().split("\r\n")[-3:] == [begins, f"^C{ends}", ""]
    assert os.waitstatus_to_exitcode(status) == -2  # by the signal, so that a shell says 130
    assert ready.exists() == (target == "train")


def test_a_text_can_be_the_first_word_of_args(folder: Path) -> None:
    (folder / ".venv" / "bin" / ".ready").touch()
    words = ["make", "-n", "train", "PYTHON=./python", "ARGS=my.txt model=gru"]
    said = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    assert "charrnn train my.txt model=gru " in said.stdout
