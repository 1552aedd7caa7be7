"""Shared fixtures."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

from charrnn import plugins
from charrnn.__main__ import main
from charrnn.files import hold_lock
from charrnn.model import Model
from tests import REPOSITORY
from tests.cli.door import Door

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

# Started with `nohup ... &` these are ignored, and so they would be in all that a test starts; what
# has a handler here has the system's default there.
for _signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_signum) == signal.SIG_IGN:
        signal.signal(_signum, lambda *_: None)

# Several processes of tests share the cores: a thread that waits must not keep one from another.
# It is read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# On a busy machine an example of Hypothesis may take long.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore the root logger. Hydra's handlers write to a standard error that pytest closes."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARRNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def write_corpus(folder: Path) -> None:
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "Zoë", "run.\n"]
    generator = random.Random(1)
    text = " ".join(generator.choice(words) for _ in range(270))
    (folder / "corpus.txt").write_text(text, encoding="utf-8")


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write each text into the file of this name, below a folder."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Return the folder of reference data beside the checkout. Skip the test if there is none."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference data beside the checkout (../shared) is missing")
    return folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter an empty folder with a corpus of 20 windows an epoch (of SMALL)."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return tmp_path


@pytest.fixture
def model() -> Model:
    """Make a model whose weights are random."""
    from tests.generation.models import make_model

    return Model(make_model())


@pytest.fixture
def path(tmp_path: Path, model: Model) -> Path:
    """Write the model into a file."""
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def train(workplace: Path) -> Callable[..., Path]:
    """Run `charrnn train` with SMALL and more; returns the run folder."""
    from tests.small_runs import SMALL  # imports torch

    def run(*overrides: str, folder: str = "run", code: int = 0, small: bool = True) -> Path:
        where = (
            [] if any(o.startswith("resume=") for o in overrides) else [f"hydra.run.dir={folder}"]
        )
        words = ["train", *(SMALL if small else ()), *where, *overrides]
        assert main(words) == code
        return workplace / folder

    return run


@pytest.fixture(scope="session")
def run_cache(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run `charrnn train` with SMALL and more, once for the same options in all processes."""
    from tests.small_runs import SMALL  # imports torch

    base = tmp_path_factory.getbasetemp()
    trainings = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trainings"

    def run(*overrides: str) -> Path:
        place = trainings / hashlib.sha256(repr(overrides).encode()).hexdigest()[:16]
        place.mkdir(parents=True, exist_ok=True)
        with hold_lock(place / "lock"):
            if not (place / "trained").exists():
                write_corpus(place)
                with pytest.MonkeyPatch.context() as patch:
                    patch.chdir(place)
                    assert main(["train", *SMALL, "hydra.run.dir=run", *overrides]) == 0
                (place / "trained").touch()
        return place / "run"

    return run


@pytest.fixture
def run_copy(run_cache: Callable[..., Path], workplace: Path) -> Callable[..., Path]:
    """Return a copy of the folder of a trained run."""

    def copy_run(*overrides: str, folder: str = "run") -> Path:
        return Path(shutil.copytree(run_cache(*overrides), workplace / folder))

    return copy_run


@pytest.fixture
def door(monkeypatch: Patch, tmp_path: Path, capsys: Capture) -> Door:
    """Return the door in an empty folder."""
    result = Door(capsys)
    for command in plugins.list_commands().values():
        monkeypatch.setattr(import_module(command.module), "run", result.run)
    monkeypatch.chdir(tmp_path)
    return result
