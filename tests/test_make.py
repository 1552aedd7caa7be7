"""The Makefile shows pip's log if it fails, and ends quietly."""

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
exit 1
"""
CHARRNN = """#!/bin/sh
trap 'echo the run is saved; exit 130' INT
echo training
while true; do sleep 0.1; done
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Make a folder with the Makefile, whose Python and charrnn are shell scripts."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # of a make that runs the tests
        monkeypatch.delenv(name, raising=False)
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    scripts = {".venv/bin/python": PYTHON, "charrnn.sh": CHARRNN, "python": "#!/bin/sh\n"}
    write_files(tmp_path, {"pyproject.toml": "", **scripts})
    for name in scripts:
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_a_setup_that_fails_shows_the_log_of_pip(project: Path) -> None:
    words = ["make", "setup", "PYTHON=./python"]
    make = subprocess.run(words, cwd=project, capture_output=True, text=True)
    assert make.returncode != 0
    *_, begun, log, end = make.stdout.splitlines()
    assert begun == "setup: Collecting torch"
    assert log.startswith("Collecting torch<3")
    assert end == "setup: pip failed; it says why above"
    assert not (project / ".venv" / "bin" / ".ready").exists()


def interrupt_train(project: Path) -> tuple[bytes, int]:
    """Press Ctrl-C in a training. Return all that make printed, and its status."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(project)
        os.execvp("make", ["make", "train", "PYTHON=./python"])
    said = b""
    while b"training" not in said:
        said += os.read(terminal, 1000)
    time.sleep(0.2)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(process, 0)
    return said + os.read(terminal, 1000), status


def test_ctrl_c_ends_with_charrnns_line(project: Path) -> None:
    (project / ".venv" / "bin" / ".ready").touch()
    said = RACE
    while RACE in said:
        said, status = interrupt_train(project)
    assert said.decode().split("\r\n")[-3:] == ["training", "^Cthe run is saved", ""]
    assert os.waitstatus_to_exitcode(status) == -2  # by the signal, so that a shell says 130
