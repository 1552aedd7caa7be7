"""A wheel, unpacked elsewhere, works from any folder, its conf/ included."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import REPOSITORY


@pytest.mark.slow
def test_the_wheel_works_from_another_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path)]
    built = subprocess.run([*build, str(REPOSITORY)], capture_output=True, text=True)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("the build backend cannot be fetched here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("charrnn-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert "charrnn/conf/train.yaml" in names
    assert "charrnn/page/index.html" in names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "outputs/"))]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "my.txt").write_text("a text of one's own, again and again. " * 40)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def charrnn(*words: str) -> str:
        command = [sys.executable, "-m", "charrnn", *words]
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import charrnn; print(charrnn.__file__)"
    where = subprocess.check_output(
        [sys.executable, "-c", code], cwd=elsewhere, env=environment, text=True
    )
    assert where.startswith(str(tmp_path / "site"))
    charrnn("train", "data.input_txt=my.txt", "trainer.max_steps=3", "model.hidden_size=16")
    assert len(charrnn("sample", "length=30", "start_text=a text", "seed=1")) == 36
    assert "hidden_size: 128" in charrnn("train", "--cfg", "job")
