"""The extras can be deleted: the rest works, and what they had is unknown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import REPOSITORY

# command lines, and a part of the line that refuses each
REFUSED = {
    "export output=x.html": "export: no such command",
    "sample checkpoint=run novel=40": "novel, report: this charrnn was installed with",
    "train -m sweep=tpe model.dropout=interval(0,0.5)": "sweep=tpe: no such ",
    "serve": "serve: no such command",
    "train -rnn_size 256": "-rnn_size: no such flag",
}
# help, a training, a sample and what is refused, by the same interpreter, which starts once
PROGRAM = """
import sys
from charrnn.__main__ import main
for words in (
    ["--help"],
    ["train", "--help"],
    ["train", "data.input_txt=my.txt", "trainer.max_steps=3", "model.hidden_size=8",
     "model.num_layers=1", "trainer=cpu", "threads=1", "trainer.precision=32-true",
     "callbacks.samples.length=0", "hydra.run.dir=run"],
    ["sample", "checkpoint=run", "length=30", "seed=1", "start_text=a text"],
):
    code = main(words)
    assert code == 0, (words, code)
for line in sys.argv[1:]:
    assert main(line.split()) == 2, line
"""


def test_the_core_works_without_extras(tmp_path: Path) -> None:
    """Check what a copy shows, trains, writes and refuses."""
    tree, place = tmp_path / "tree", tmp_path / "place"
    ignored = shutil.ignore_patterns("__pycache__", "sweep")
    for name in ("charrnn", "conf", "hydra_plugins"):
        shutil.copytree(REPOSITORY / name, tree / name, ignore=ignored)
    for path in tree.glob("charrnn/extras/*/__init__.py"):
        shutil.rmtree(path.parent)
    place.mkdir()
    (place / "my.txt").write_text("a text of one's own, again and again. " * 40)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *REFUSED], cwd=place,
        env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (place / "run" / "model.safetensors").is_file()
    assert not (place / "run" / "report.html").exists()
    for refusal in REFUSED.values():
        assert refusal in done.stderr
