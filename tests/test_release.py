"""Wheel and sdist, each installed in an environment without charrnn.

The workflow that publishes runs this on its files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import charrnn
from tests import REPOSITORY

TINY = ("trainer.max_steps=3", "model.hidden_size=16", "model.num_layers=1", "data.batch_size=4")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with both: CHARRNN_DIST, or built as `make dist` does."""
    if made := os.environ.get("CHARRNN_DIST"):
        return Path(made)
    folder = tmp_path_factory.mktemp("release")
    venv.create(folder / "builder", with_pip=True)
    python = folder / "builder" / "bin" / "python"
    makefile = (REPOSITORY / "Makefile").read_text()
    (checker,) = re.findall(r"^CHECKER = (.*)", makefile, re.MULTILINE)
    packages = ("build", "hatchling", *checker.split())
    fetched = run(python, "-m", "pip", "install", "--quiet", *packages, check=False)
    if fetched.returncode:
        pytest.skip("the tools that build cannot be fetched here")
    out = folder / "dist"
    run(python, "-m", "build", "--no-isolation", "--outdir", str(out), str(REPOSITORY))
    run(python, "-m", "twine", "check", "--strict", *map(str, out.iterdir()))
    return out


def run(
    program: Path, *words: str, cwd: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    command = [str(program), *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_the_commands_of_the_readme_run_from_it(dist: Path, kind: str, tmp_path: Path) -> None:
    (package,) = dist.glob(f"charrnn_lightning-{charrnn.__version__}*.{kind}")
    if kind == "whl":
        with zipfile.ZipFile(package) as archive:
            names = {*archive.namelist()}
        assert {"charrnn/conf/train.yaml", "charrnn/extras/page/site/index.html"} <= names
        assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "outputs/"))]
    else:
        with tarfile.open(package) as sources:
            names = {name.partition("/")[2] for name in sources.getnames()}
        assert {"conf/train.yaml", "LICENSE", "Makefile", "README.md", "pyproject.toml"} <= names
    venv.create(tmp_path / "new", with_pip=True)
    python = tmp_path / "new" / "bin" / "python"
    # its requirements are installed where these tests run; charrnn is not, or it would be used
    (site,) = (tmp_path / "new").glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "required.pth").write_text("\n".join([sysconfig.get_path("purelib"), *here]) + "\n")
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed"]
    done = run(python, *words, str(package), check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("the build backend cannot be fetched here")
    assert done.returncode == 0, done.stderr

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "my.txt").write_text("a text of one's own, again and again. " * 40)
    where = run(python, "-c", "import charrnn; print(charrnn.__file__)", cwd=elsewhere).stdout
    assert Path(where.strip()).is_relative_to(site)
    program = python.with_name("charrnn")
    run(program, "preprocess", "input_txt=my.txt", cwd=elsewhere)
    run(program, "train", "data.input_txt=my.txt", *TINY, cwd=elsewhere)
    words = ["sample", "length=30", "start_text=a text", "seed=1"]
    assert len(run(program, *words, cwd=elsewhere).stdout) == 36
    assert "loss" in run(program, "evaluate", cwd=elsewhere).stdout
    assert "network_loss" in run(program, "runs", cwd=elsewhere).stdout
    assert "hidden_size:" in run(program, "train", "--cfg", "job", cwd=elsewhere).stdout
