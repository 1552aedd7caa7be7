"""The program as it is started: its first word, its streams, its signals."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from tests.small_runs import Capture

HEAVY = {"numpy", "torch", "lightning", "hydra", "omegaconf", "yaml", "h5py"}

# a command that says how far it is, and then waits
WAITING = """
import signal, sys, time
from pathlib import Path
from charrnn.files import replace_file
# what starts the tests in the background may have it ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
def run(options):
    with replace_file(Path("result")) as path:
        print("begun", flush=True)
        time.sleep(60)
import charrnn.commands.sample
charrnn.commands.sample.run = run
from charrnn.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "charrnn train "),
        (["sample", "length=3", "--help"], "charrnn sample [OPTION=VALUE ...]"),
        (["sample", "--version"], f"charrnn {charrnn.__version__}\n"),
        (["train", "--help=all"], "Options and their defaults:"),
    ],
)
def test_help_and_version_stand_anywhere(words: list[str], said: str, capsys: Capture) -> None:
    assert main(words) == 0
    assert said in capsys.readouterr().out


def test_nothing_heavy_is_imported_for_it() -> None:
    """Check that a refused option waits for nothing, too. Later imports are collected as usual."""
    lines = {
        "": HEAVY,
        "sample --help": HEAVY,
        "train model.dropout=1": {"numpy", "torch", "lightning"},
        "train no.txt": {"numpy", "torch", "lightning"},
    }
    code = """
import sys
from charrnn.__main__ import main
for line in sys.argv[1:]:
    main(line.split())
    print("modules", *sys.modules)
import gc, charrnn.commands.sample
charrnn.commands.sample.run = lambda options: print(gc.isenabled(), gc.get_freeze_count())
main(["sample"])
"""
    command = [sys.executable, "-c", code, *lines]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = re.findall("^modules (.*)", done.stdout, re.MULTILINE)
    for heavy, names in zip(lines.values(), imported, strict=True):
        assert not heavy & set(names.split())
    assert "train: model.dropout=1" in done.stderr
    assert "train: no.txt: no such file" in done.stderr
    assert done.stdout.endswith("\nTrue 0\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian"], "charrnn: trian: no such command; did you mean train?\n"),
        (["xyzzy"], "charrnn: xyzzy: no such command; the commands are preprocess, "),
        ([__file__], f"charrnn: {__file__}: no such command; to train on this text: charrnn "),
        (["length=3"], "charrnn: length=3: put the command first: charrnn COMMAND length=3\n"),
        (["tr\nain"], "charrnn: tr\\nain: no such command; did you mean train?\n"),
    ],
)
def test_a_wrong_first_word(words: list[str], line: str, capsys: Capture) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_streams_that_do_not_take_it() -> None:
    """Write to a reader that leaves early, and to a terminal without the letters."""
    command = [sys.executable, "-m", "charrnn"]
    with subprocess.Popen(
        [*command, "train", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [*command, "sample", "--cfg", "job", "until=Zür"]
    done = subprocess.run(words, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    assert rb"until: Z\xfcr" in done.stdout
    done = subprocess.run([*command, "sample", b"length=\xff\xfe"], capture_output=True)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


def test_standard_streams_that_are_closed(tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -m charrnn preprocess text.txt <&- >&- 2>&-"
    (tmp_path / "text.txt").write_text("some text\n" * 9)
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "text.h5", "text.json"}
    assert subprocess.run(["sh", "-c", line.replace("text.txt", "no.txt")]).returncode == 2


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "job 0 (length=1): terminated"),
        (signal.SIGINT, 130, "job 0 (length=1): interrupted"),
    ],
)
def test_a_signal_unwinds(number: int, code: int, line: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITING, "sample", "-m", "length=1,2"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.splitlines()[-1] == f"charrnn sample: {line}"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
