"""charrnn convert."""

from __future__ import annotations

from pathlib import Path

from charrnn.__main__ import main
from charrnn.model import load
from tests.small_runs import Capture


def test_convert_writes_a_model_and_says_so(path: Path, tmp_path: Path, capfd: Capture) -> None:
    output = tmp_path / "new" / "other.safetensors"
    assert main(["convert", str(path), f"output={output}"]) == 0
    assert output.read_bytes() == path.read_bytes()
    size = load(path).trained.architecture.num_parameters
    said = f"wrote {output}: lstm 2 x 24, 65 characters, {size:,} parameters\n"
    assert capfd.readouterr() == ("", said)
