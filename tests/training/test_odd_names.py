"""Names that mean something elsewhere, and variables of a scheduler that started nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests.small_runs import SMALL, Train, metrics


def test_a_text_and_a_folder_with_odd_names(
    workplace: Path,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # of a batch job, in which srun did not start this process
    monkeypatch.setenv("SLURM_JOB_ID", "twelve")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    red = "red\x1b[31m"
    text = r"${x}\${oc.env:HOME}'" + red + ".txt"
    (workplace / "corpus.txt").rename(workplace / text)
    whole = [*SMALL, f"data.input_txt={text}"]
    run = train(*whole, "trainer.max_steps=5", folder=red, small=False)
    train(f"resume={red}", "trainer.max_steps=10", small=False)
    assert metrics(run)[-1]["step"] == "10"
    assert main(["runs", "folder=."]) == 0
    assert main(["train", *whole, f"hydra.run.dir={red}"]) == 2
    assert main(["preprocess", f"input_txt={text}", f"output_h5={red}.h5"]) == 0
    out, err = capsys.readouterr()
    assert r"red\x1b[31m" in out
    assert r"red\x1b[31m" in err
    assert "\x1b" not in out + err
