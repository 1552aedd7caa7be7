"""The program as it is started: its first word, its streams, its signals."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.model import Model
from tests import REPOSITORY
from tests.generation.models import make_model
from tests.refusals import refusal_of
from tests.small_runs import SMALL, Capture

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
        (["train", "--help"], "Options and their defaults:"),
    ],
)
def test_help_and_version_stand_anywhere(words: list[str], said: str, capsys: Capture) -> None:
    assert main(words) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("trian", "trian: no such command; did you mean train?\n"),
        ("xyzzy", "xyzzy: no such command; the commands are preprocess, "),
        (__file__, f"{__file__}: no such command; to train on this text: charrnn "),
        ("length=3", "length=3: put the command first: charrnn COMMAND length=3\n"),
        ("tr\nain", "tr\\nain: no such command; did you mean train?\n"),
    ],
)
def test_a_wrong_first_word(word: str, line: str, capsys: Capture) -> None:
    assert refusal_of(capsys, word).startswith(f"charrnn: {line}")


def test_words_that_the_terminal_or_utf8_does_not_have() -> None:
    command = [sys.executable, "-m", "charrnn", "sample"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = [*command, "--cfg", "job", "until=Zür"]
    done = subprocess.run(words, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    assert rb"until: Z\xfcr" in done.stdout
    done = subprocess.run([*command, b"length=\xff\xfe"], capture_output=True)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_unwinds(number: int, code: int, word: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITING, "sample", "-m", "length=1,2"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.splitlines()[-1] == f"charrnn sample: {word}"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


TORCH = {"torch", "lightning"}
HEAVY = {*TORCH, "numpy", "hydra", "omegaconf", "yaml", "h5py"}
TRAIN = ("train", *SMALL, "hydra.run.dir=run")


@pytest.mark.parametrize(
    ("words", "code", "said", "libraries"),
    [
        ((), 0, "", HEAVY),
        (("sample", "--help"), 0, "", HEAVY),
        # what is refused waits for nothing
        (("train", "model.dropout=1"), 2, "train: model.dropout=1", {*TORCH, "numpy"}),
        (("train", "optimizer.lr=-1"), 2, "train: optimizer.lr=-1.0: must be above 0", TORCH),
        (("train", "optimizer=adam", "optimizer.lr=x"), 2, "takes a number", TORCH),
        (("train", "schedule.warmup_steps=-1"), 2, "schedule.warmup_steps=-1: must be 0", TORCH),
        (("train", "callbacks.samples.length=-1"), 2, "callbacks.samples.length=-1: must", TORCH),
        (("train", "no.txt"), 2, "train: no.txt: no such file", {*TORCH, "numpy"}),
        ((*TRAIN, "data.background=nope.txt"), 2, "nope", TORCH),
        # until the first character of a sample
        (("sample", "model.safetensors", "length=1", "seed=1"), 0, "", TORCH),
    ],
)
def test_a_command_imports_no_library_that_it_does_not_use(
    words: tuple[str, ...], code: int, said: str, libraries: set[str], workplace: Path
) -> None:
    Model(make_model()).save(workplace / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "tests.imported", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert not libraries & {*done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_standard_stream_is_an_error(closed: str, tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -m charrnn preprocess text.txt {closed}"
    (tmp_path / "text.txt").write_text("some text\n" * 9)
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is closed; redirect it to /dev/null" in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
