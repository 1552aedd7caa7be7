"""Outputs that commands refuse, because they would replace a text or a file of a run."""

from __future__ import annotations

from pathlib import Path

from charrnn.__main__ import main
from tests.refusals import refusal_of
from tests.small_runs import SMALL, Capture

# a command -> the file that it would replace
REPLACED = {
    "sample run output=run/checkpoints/last.ckpt": "run/checkpoints/last.ckpt",
    "sample run output=run/metrics.csv": "run/metrics.csv",
    "sample run start_file=mine.txt output=mine.txt": "mine.txt",
    "sample run corpus=mine.txt output=mine.txt": "mine.txt",
    "sample run output=corpus.h5": "corpus.h5",
    "sample run output=corpus.txt": "corpus.txt",
    "preprocess corpus.txt output_h5=run/model.safetensors": "run/model.safetensors",
    "convert run/checkpoints/best.ckpt output=run/model.safetensors": "run/model.safetensors",
}


def test_no_output_replaces_a_text_or_a_file_of_a_run(workplace: Path, capfd: Capture) -> None:
    Path("mine.txt").write_text("mine")
    assert main(["train", *SMALL, "trainer.max_steps=2", "hydra.run.dir=run"]) == 0
    capfd.readouterr()
    for line, name in REPLACED.items():
        before = Path(name).read_bytes()
        refused = refusal_of(capfd, *line.split())
        assert refused.partition("=")[2].startswith(f"{name}: is "), refused
        assert Path(name).read_bytes() == before
    for _ in range(2):  # Another file in the run's folder may be replaced.
        assert main(["sample", "run", "length=9", "output=run/mine.txt"]) == 0
