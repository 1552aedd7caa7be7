"""charrnn convert."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.commands import convert
from charrnn.commands.convert import ConvertOptions
from charrnn.errors import InputError
from charrnn.model import load


def run(source: Path, output: Path) -> None:
    convert.run(ConvertOptions(input=str(source), output=str(output)))


def test_it_writes_a_model_file_and_says_so(
    path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "other.safetensors"
    run(path, output)
    assert output.read_bytes() == path.read_bytes()
    out, err = capfd.readouterr()
    assert out == ""
    size = load(path).trained.members[0].architecture.num_parameters
    assert err == f"wrote {output}: lstm 2 x 24, 65 characters, {size:,} parameters\n"


def test_the_input_is_not_overwritten(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(path, folder)
    for source, output in (
        (path, path),
        (path, tmp_path / "run" / ".." / path.name),
        (path, tmp_path / "link"),
        (folder, folder / "model.safetensors"),
    ):
        with pytest.raises(InputError, match="is the model itself"):
            run(source, output)
    assert path.read_bytes() == before
