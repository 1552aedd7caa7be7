"""The program as it is started: its first word, its streams, its signals."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.model import load
from tests.small_runs import SMALL, Capture, column, tensors
from tests.tools import until

# a command that says how far it is, and then waits
WAITING = """
import sys, time
from pathlib import Path
from charrnn.files import replace_file
def run(options):
    with replace_file(Path("result")) as path:
        print("begun", flush=True)
        time.sleep(60)
import charrnn.commands.sample
charrnn.commands.sample.run = run
from charrnn.__main__ import main
sys.exit(main())
"""


def test_a_command_has_the_version_of_the_program(capsys: Capture) -> None:
    assert main(["sample", "--version"]) == 0
    assert capsys.readouterr().out == f"charrnn {charrnn.__version__}\n"


def test_a_signal_unwinds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITING, "sample", "-m", "length=1,2"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.splitlines()[-1] == "charrnn sample: terminated"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


# runs command lines one after the other, each with its exit code, and prints what they import
IMPORTS = """
import json, sys
from charrnn.__main__ import main
for line, code in json.loads(sys.argv[1]).items():
    assert main(line.split()) == code, line
print(*sys.modules, file=sys.stderr)
"""
# libraries beside torch and Lightning, and command lines with their exit codes
LIGHT = [
    ({"numpy", "hydra", "omegaconf", "yaml", "h5py"}, {"": 0, "sample --help": 0}),
    # what is refused waits for nothing
    (
        set(),
        {
            "train optimizer.lr=-1": 2,
            "train schedule.warmup_steps=-1": 2,
            "train callbacks.samples.length=-1": 2,
            "train no.txt": 2,
            "train corpus.txt data.background=nope.txt": 2,
        },
    ),
    # until the first character of a sample
    (set(), {"sample model.safetensors length=1 seed=1": 0}),
]


@pytest.mark.parametrize(("libraries", "lines"), LIGHT)
def test_a_command_imports_no_library_that_it_does_not_use(
    libraries: set[str], lines: dict[str, int], path: Path, workplace: Path
) -> None:
    command = [sys.executable, "-c", IMPORTS, json.dumps(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not ({"torch", "lightning"} | libraries) & {*done.stderr.splitlines()[-1].split()}


def test_a_training_in_a_process_goes_on_without_its_terminal(workplace: Path) -> None:
    """Train as a user does who types nohup, and close the terminal."""
    words = ["train", *SMALL, "hydra.run.dir=run", "trainer.max_steps=60", "checkpoint_every=20"]
    command, pipe = ["nohup", sys.executable, "-m", "charrnn", *words], subprocess.PIPE
    last, run = Path("run/checkpoints/last.ckpt"), Path("run")
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        until(lambda: last.exists() or process.poll() is not None)
        process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out, "Traceback" in err) == (0, "", False)
    assert "run folder: run" in err
    assert tensors(run)["step"] == 60
    losses = column(run, "val/loss")
    assert losses[60] < losses[20] < 3
    assert set(load(run).generate(100)) <= set(Path("corpus.txt").read_text("utf-8"))


def test_a_closed_standard_output_is_an_error(tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -m charrnn preprocess text.txt >&-"
    (tmp_path / "text.txt").write_text("some text\n" * 9)
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is closed; redirect it to /dev/null" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
