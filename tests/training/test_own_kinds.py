"""Cells that charrnn does not have, added from Python."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import charrnn
from charrnn.__main__ import main
from charrnn.runs import ranks
from tests import REPOSITORY
from tests.conftest import write_files
from tests.small_runs import SMALL, Capture, Train, assert_same, tensors

PAGE = (REPOSITORY / "docs" / "lightning.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
(EXAMPLE,) = (block for block in BLOCKS if "class MinGRU" in block)
(SCRIPT,) = (block for block in BLOCKS if "import my_cells" in block)
MODULE = EXAMPLE.partition("result = ")[0]


@pytest.fixture(autouse=True)
def restored_cells() -> Iterator[None]:
    yield
    charrnn.CELLS.pop("mingru", None)


def test_every_command_takes_an_added_cell(train: Train, capfd: Capture) -> None:
    exec(MODULE, {})
    words = ["model.kind=mingru", "data.shuffle=true", "model.dropout=0.3", "~callbacks.counts"]
    whole = train(*words, "trainer.max_steps=12", folder="whole")
    part = train(*words, "trainer.max_steps=9", folder="part")
    train("resume=part", "~callbacks.counts", "trainer.max_steps=12", small=False)
    assert_same(tensors(part)["weights"], tensors(whole)["weights"])

    assert main(["sample", "checkpoint=part", "length=40"]) == 0
    assert main(["evaluate", "checkpoint=part"]) == 0
    assert main(["convert", "input=part/checkpoints/best.ckpt", "output=x.safetensors"]) == 0
    model, again = charrnn.load("part"), charrnn.load("x.safetensors")
    assert np.array_equal(model.logits("the cat"), again.logits("the cat"))
    module = charrnn.LanguageModel.load_from_checkpoint("part/checkpoints/best.ckpt")
    assert np.array_equal(module.to_model().logits("the cat"), model.logits("the cat"))
    train(*words, "init_from=part", "trainer.max_steps=1", folder="tuned")

    capfd.readouterr()
    assert main(["export", "checkpoint=part", "output=page.html"]) == 2
    assert "mingru" in capfd.readouterr().err

    del charrnn.CELLS["mingru"]
    for words in (
        ["sample", "checkpoint=part"],
        ["convert", "input=part", "output=y.safetensors"],
        ["train", "resume=part", "~callbacks.counts", "trainer.max_steps=40"],
        ["train", *SMALL, "init_from=part", "hydra.run.dir=new"],
    ):
        assert main(words) == 2, words
        [line] = capfd.readouterr().err.splitlines()
        assert "model.kind=mingru: must be one of lstm, gru, rnn; a script may add" in line, words
    assert not any(Path(name).exists() for name in ("page.html", "y.safetensors", "new"))


def test_a_script_has_the_command_line(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(workplace, {"my_cells.py": MODULE, "my_charrnn.py": SCRIPT})
    words = ["train", *SMALL, "model.kind=mingru", "trainer.max_steps=3", "hydra.run.dir=run"]
    monkeypatch.setattr(sys, "argv", ["my_charrnn.py", *words])
    monkeypatch.setattr(ranks, "typed_words", [])  # which main fills
    monkeypatch.syspath_prepend(str(workplace))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("my_charrnn.py", run_name="__main__")
    assert ended.value.code == 0
    assert charrnn.load("run").trained.architecture.kind == "mingru"
