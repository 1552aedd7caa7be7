"""Somebody else's run: what is written in it neither runs, nor is sent, nor leads away."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.runs.folder import MISSING_TEXT
from tests.attacks.conftest import CANARY, SECRET, TINY, Refused, content_of, tamper
from tests.conftest import write_files
from tests.small_runs import Capture, read_record

LONGER = "trainer.max_steps=6"
LOOKED_UP = "\\\\${oc.env:SECRET}"  # two backslashes: an escape of an escape


WANDB = {"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"base_url": "URL"}}
# where something is put -> what
CONFIGS: dict[str, Any] = {
    "callbacks.x": CANARY,
    "logger.x": CANARY,
    "logger": "os.mkdir",
    "optimizer._target_": "os.mkdir",
    "callbacks.samples._target_": ["os.mkdir"],
    "optimizer": "charrnn.LanguageModel",
    "trainer._target_": "charrnn.LanguageModel",
    "callbacks.y": {"_target_": "charrnn.training.MetricsCSV"},
    "optimizer.lr": CANARY,
    "data.batch_size": CANARY,
    "tags": {"a": CANARY},
    "optimizer._args_": ["x"],
    "trainer.profiler": "simple",
    "trainer.plugins": CANARY,
    "hydra": {"job": {"env_set": {"A": "b"}}},
    "defaults": [{"override /callbacks": "evil"}],
    "logger.wandb": WANDB,
    "logger.tensorboard.name": "/canary",
    "logger.tensorboard.version": "../../canary",
    "data.url": f"URL/{LOOKED_UP}",
    "optimizer.weight_decay": LOOKED_UP,
    "trust": CANARY,
    "seed": "${oc.env:SECRET}",
    "vars": {"x": ["${oc.env:SECRET}", CANARY]},
    "trainer.log_every_n_steps": "${oc.env:SECRET}",
    "model.optimizer": {"_target_": "os.mkdir", "path": "canary"},
    "logger.csv.save_dir": "canary",
    "print_every": 1.5,
}
# what the line says of it, where it is not that trust=true lets it through
LINES = {
    "hydra": "hydra is not an option of charrnn train",
    "defaults": "is not an option",
    "print_every": "gift: its recorded print_every=1.5: takes a whole number",
    "data.url": "its record has data.url, which this charrnn does not have",
}


@pytest.mark.parametrize("where", CONFIGS)
def test_a_config(where: str, gift: Path, refusal_line: Refused, listener: str) -> None:
    value = yaml.safe_load(yaml.safe_dump(CONFIGS[where]).replace("URL", listener))
    tamper(gift, where, value)
    if where == "data.url":
        tamper(gift, "data.input_txt", None)
    if where != "trust":
        tamper(gift, "trust", True)
    said = refusal_line("train", "resume=gift", LONGER)
    assert LINES.get(where, f"its recorded {where}") in said
    assert where in LINES or "if you trust this run, add trust=true" in said
    # in a sweep, and started again, too: its jobs' records are held to today's command
    if where in ("callbacks.x", "optimizer._target_", "logger.x"):
        again = [*TINY, LONGER, "hydra.run.dir=gift", "resume=auto"]
        assert main(["train", *again]) == (2 if where == "optimizer._target_" else 0)
        assert not Path("canary").exists()


def test_a_checkpoint(gift: Path, refusal_line: Refused) -> None:
    path = gift / "checkpoints" / "last.ckpt"
    content = checkpoint.read(path)
    content[ENTRY]["config"]["callbacks"]["x"] = CANARY
    checkpoint.write(path, content)
    line = refusal_line("train", f"resume={path}", LONGER, "hydra.run.dir=new")
    assert "its recorded callbacks.x._target_=os.mkdir could run foreign code" in line


def test_files_and_choices_that_lie_in_a_run_are_unread(gift: Path, refusal_line: Refused) -> None:
    evil = {"hydra": {"overrides": {"task": ["+callbacks.x._target_=os.mkdir"]}}}
    texts = {
        "callbacks/evil.yaml": yaml.safe_dump({"x": CANARY}),
        "callbacks/default.yaml": yaml.safe_dump({"x": CANARY}),
        ".hydra/choices.yaml": "callbacks: ../../gift/callbacks/evil\n",
        ".hydra/overrides.yaml": "['+callbacks.x._target_=os.mkdir']\n",
        **dict.fromkeys(("sweep.json", "multirun.yaml", ".hydra/hydra.yaml"), yaml.safe_dump(evil)),
    }
    write_files(gift, texts)
    before = read_record(gift)["callbacks"]
    tamper(gift, "callbacks", "evil")
    refusal_line("train", "resume=gift", LONGER)
    tamper(gift, "callbacks", before)
    assert main(["train", "resume=gift", LONGER]) == 0
    assert not Path("canary").exists()


def test_a_text_is_a_text(gift: Path, workplace: Path, listener: str) -> None:
    """Check that an escaped ${...} in a record is a text, and that any other is refused."""
    texts = ["\\${oc.env:SECRET}", "\\\\\\${oc.env:SECRET}", MISSING_TEXT]
    for tags in (texts, ["${oc.env:SECRET}"], [LOOKED_UP]):
        tamper(gift, "tags", tags)
        assert main(["train", "resume=gift", LONGER, "tags=null"]) == (0 if tags is texts else 2)
    words = [*TINY, r"tags=['\${oc.env:SECRET}']", "hydra.run.dir=own"]
    assert main(["train", *words]) == 0
    assert main(["train", "resume=own", LONGER]) == 0
    assert read_record(workplace / "own")["tags"] == texts[:1]
    assert not any(SECRET.encode() in c for c in content_of(gift).values() if type(c) is bytes)


@pytest.mark.parametrize("name", ["metrics.csv", ".hydra/config.yaml", "samples", ".lock"])
def test_a_run_does_not_write_through_a_link(name: str, gift: Path, refusal_line: Refused) -> None:
    (gift / "samples").mkdir(exist_ok=True)
    path, target = gift / name, Path("outside").absolute()
    if path.exists():
        path.rename(target)
    path.symlink_to(target)
    assert "is a link; a run does not write" in refusal_line("train", "resume=gift", LONGER)


def test_a_folder_that_the_user_links_is_the_users(gift: Path) -> None:
    gift.symlink_to(gift.rename(gift.with_name("real")))
    assert main(["train", "resume=gift", LONGER]) == 0


def test_a_pipe_in_a_run_is_not_waited_for(gift: Path, refusal_line: Refused) -> None:
    (gift / "metrics.csv").unlink()
    os.mkfifo(gift / "metrics.csv")
    assert "is not a regular file" in refusal_line("train", "resume=gift", LONGER)
    assert main(["runs", "gift"]) == 0


def test_links_and_pipes_in_a_sweep(workplace: Path, refusal_line: Refused, capfd: Capture) -> None:
    """Check that the sweep's files replace links and pipes, and that others are refused."""
    sweep, private = workplace / "sweep", workplace / "private"
    words = ["train", "-m", *TINY, "seed=1,2", "hydra.sweep.dir=sweep", "resume=auto"]
    write_files(workplace, {"private/diary": "a poem", "sweep/wandb/metadata": ""})
    for name, target in (("study.journal", private), (".study.lock", private / "nothing")):
        (sweep / name).symlink_to(target)
        assert "is a link; a run does not write through it" in refusal_line(*words)
        (sweep / name).unlink()
    (sweep / "wandb/x").symlink_to(private)  # in this folder links are a logger's
    capfd.readouterr()
    assert main([*words, "hydra.sweep.subdir=wandb/x"]) == 1
    assert "x: is a link; a sweep does not write through it" in capfd.readouterr().err
    for name in ("study.journal.lock", "0_seed=1"):
        os.mkfifo(sweep / name)
        assert "is not a regular file" in refusal_line(*words)
        (sweep / name).unlink()
    (sweep / "multirun.yaml").unlink()
    os.symlink(private / "diary", sweep / "multirun.yaml")
    os.mkfifo(sweep / "leaderboard.csv")
    assert main(words) == 0
    assert "seed" in (sweep / "multirun.yaml").read_text()
    assert (sweep / "leaderboard.csv").read_text().count("\n") == 3
    assert [path.read_text() for path in private.iterdir()] == ["a poem"]


def test_a_billion_laughs(gift: Path, refusal_line: Refused, capfd: Capture) -> None:
    path = gift / ".hydra" / "config.yaml"
    names = "abcdefghi"
    laughs = [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    path.write_text("\n".join([path.read_text(), "a: &a [x, x, x, x, x, x, x, x, x]", *laughs]))
    assert main(["runs", "."]) == 2
    assert "Traceback" not in capfd.readouterr().err
    assert "aliases are not allowed" in refusal_line("train", "resume=gift", LONGER)


def test_a_recorded_text_is_prepared_in_the_cache(gift: Path, workplace: Path) -> None:
    secret = workplace / "elsewhere"
    secret.mkdir()
    shutil.copy(gift.parent / "corpus.txt", secret)
    tamper(gift, "data.input_txt", str(secret / "corpus.txt"), in_checkpoint=True)
    assert main(["train", "resume=gift", LONGER]) == 0
    assert [path.name for path in secret.iterdir()] == ["corpus.txt"]
    assert list((workplace / "cache" / "prepared").glob("*.h5"))
