"""Outputs that commands refuse: they would replace a text or a file in the folder of a run."""

from __future__ import annotations

import filecmp
from pathlib import Path

from charrnn.__main__ import main
from tests.conftest import write_files
from tests.small_runs import SMALL, Capture
from tests.tools import refusal_of

# a command -> the file that it would replace
REPLACED = {
    "sample run output=run/checkpoints/last.ckpt": "run/checkpoints/last.ckpt",
    "sample run output=run/samples/step-0000002.txt": "run/samples/step-0000002.txt",
    "sample run output=link.txt": "link.txt",
    "sample run output=sweep/leaderboard.csv": "sweep/leaderboard.csv",
    "sample run output=sweep/below/mine.txt": "sweep/below/mine.txt",
    "sample run start_file=mine.txt output=mine.txt": "mine.txt",
    "sample run output=corpus.txt": "corpus.txt",
    "preprocess corpus.txt output_h5=run/model.safetensors": "run/model.safetensors",
    "convert run/checkpoints/best.ckpt output=run/model.safetensors": "run/model.safetensors",
}


def test_no_output_replaces_a_text_or_a_file_of_a_run(workplace: Path, capfd: Capture) -> None:
    Path("mine.txt").write_text("mine")
    Path("link.txt").symlink_to("run/.hydra/config.yaml")
    write_files(Path(), {"sweep/multirun.yaml": "{}", "sweep/leaderboard.csv": "run"})
    write_files(Path(), {"sweep/below/mine.txt": "mine"})
    assert main(["train", *SMALL, "trainer.max_steps=2", "hydra.run.dir=run"]) == 0
    capfd.readouterr()
    for line, name in REPLACED.items():
        before = Path(name).read_bytes()
        refused = refusal_of(capfd, *line.split())
        assert refused.partition("=")[2].startswith(f"{name}: is "), refused
        assert Path(name).read_bytes() == before
    # A new file may be in the folder, and a file beside it may be replaced.
    Path("checkpoints").mkdir()  # of another program
    assert main(["sample", "run", "length=9", "output=run/new.txt"]) == 0
    assert "is a file in the folder" in refusal_of(capfd, "sample", "run", "output=run/new.txt")
    assert main(["sample", "run", "length=9", "output=mine.txt"]) == 0
    capfd.readouterr()
    for name in ("my.t7", "my.html"):
        assert "use .safetensors" in refusal_of(capfd, "convert", "run", f"output=new/{name}")
    assert main(["convert", "run/model.safetensors", "output=new/my.safetensors"]) == 0
    assert capfd.readouterr().err.startswith("wrote new/my.safetensors: lstm 2 x 16, ")
    assert filecmp.cmp("run/model.safetensors", "new/my.safetensors", shallow=False)
