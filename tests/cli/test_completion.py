"""The tab key: what is offered, and that a real bash takes it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.cells import CELLS
from charrnn.cli.command_line import KNOWN
from charrnn.cli.completion import SCRIPTS, candidates


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("charrnn tr", ["train"]),
        ("charrnn com", ["completion"]),
        ("charrnn completion ", ["bash", "zsh", "fish"]),
        (
            "charrnn train model=",
            [f"model={kind}" for kind in sorted(CELLS, key=lambda kind: (kind != "lstm", kind))],
        ),
        ("charrnn train -m model=gru,m", ["model=gru,mingru"]),
        ("charrnn train model=gru optimizer.bet", ["optimizer.betas="]),
        ("charrnn train +trai", ["+trainer="]),
        ("charrnn train callbacks.early_stopping.pat", ["callbacks.early_stopping.patience="]),
        ("charrnn evaluate json=", ["json=true", "json=false"]),
        ("charrnn sample temp", ["temperature="]),
        ("charrnn sample --mul", ["--multirun"]),
        ("charrnn sample --cfg ", ["job", "hydra", "all"]),
        ("charrnn nope x", []),
        ("charrnn train data.input_txt=", []),
    ],
)
def test_what_is_offered(line: str, found: list[str]) -> None:
    answer = candidates(line)
    assert [word for word in answer if word in found] == found
    assert all(word.startswith(line.rpartition(" ")[2]) for word in answer)
    assert found or not answer


def test_the_flags_are_those_that_are_taken() -> None:
    long = {flag for flag in KNOWN if flag.startswith("--")} - {"--run"}
    assert set(candidates("charrnn train -")) == long | {"--help"}


def test_choices_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").touch()
    line = f"charrnn train --config-dir {tmp_path} optimizer=mi"
    assert candidates(line) == ["optimizer=mine"]
    assert candidates(line.replace("-dir ", "-dir=")) == ["optimizer=mine"]


def test_a_script_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SCRIPTS:
        assert main(["completion", shell]) == 0
        assert f"completion {shell}" in capsys.readouterr().out.splitlines()[0]
    for words in ([], ["tcsh"], ["bash", "zsh"]):
        assert main(["completion", *words]) == 2
        assert "the name of a shell: bash, zsh, fish" in capsys.readouterr().err


def test_nothing_heavy_is_imported_for_it() -> None:
    line = ["completion", "candidates", "charrnn train model="]
    code = f"import sys; from charrnn.__main__ import main; main({line!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "lightning", "hydra", "omegaconf", "yaml", "argparse"}
    assert not heavy & set(done.stdout.splitlines()[-1].split())


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `charrnn` in it, first on the path."""
    path = tmp_path / "bin" / "charrnn"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m charrnn "$@"\n')
    path.chmod(0o755)
    (tmp_path / "my text.txt").touch()
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    repository = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(repository))
    return tmp_path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (b"charrnn tra\t", b"charrnn train "),
        (b"charrnn train model=mi\t", b"charrnn train model=mingru "),
        (b"charrnn train optimizer.bet\t", b"charrnn train optimizer.betas="),
        (b"charrnn train data.input_txt=my\t", b"charrnn train data.input_txt=my\\ text.txt "),
    ],
)
def test_in_a_real_bash(typed: bytes, completed: bytes, program: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(program)
        os.environ.update(TERM="dumb", PS1="$ ", INPUTRC="/dev/null")
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    try:
        os.write(terminal, b"bind 'set enable-bracketed-paste off'\n")
        os.write(terminal, b'eval "$(charrnn completion bash)"; echo rea""dy\n')
        _read_until(terminal, b"ready")
        os.write(terminal, typed)
        assert completed in _read_until(terminal, completed)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen, end = b"", time.monotonic() + 30
    while wanted not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 4096)
    return seen
