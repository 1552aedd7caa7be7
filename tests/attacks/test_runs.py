"""Somebody else's run: what is written in it neither runs, nor is sent, nor leads away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.options.interpolations import MISSING_TEXT
from tests.attacks.conftest import CANARY, SECRET, TINY, Refused, content_of, tamper
from tests.conftest import write_files
from tests.small_runs import Capture, read_record

LONGER = "trainer.max_steps=6"
LOOKED_UP = "\\\\${oc.env:SECRET}"  # two backslashes: an escape of an escape
WANDB = {"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"base_url": "URL"}}
# what is put into the config of a record; None: it has no effect, else the part that is refused
CONFIGS: dict[str, tuple[Any, str | None]] = {
    "callbacks.x": (CANARY, "callbacks.x._target_=os.mkdir"),
    "logger": ("os.mkdir", "logger=os.mkdir"),
    "optimizer._target_": ("os.mkdir", "optimizer._target_=os.mkdir"),
    "optimizer.lr": (CANARY, "optimizer.lr._target_=os.mkdir"),
    "optimizer._args_": (["x"], "optimizer._args_"),
    "trainer.profiler": ("simple", "trainer.profiler=simple"),
    "hydra": ({"job": {"env_set": {"A": "b"}}}, "hydra.job.env_set.A=b"),
    "defaults": ([{"override /callbacks": "evil"}], "defaults="),
    "logger.wandb": (WANDB, "logger.wandb._target_"),
    "logger.tensorboard.version": ("../../canary", "logger.tensorboard.version="),
    "data.url": (f"URL/{LOOKED_UP}", "data.url="),
    "seed": ("${oc.env:SECRET}", "seed=${oc.env:SECRET}"),
    "vars": ({"x": ["${oc.env:SECRET}", CANARY]}, None),
    "model.optimizer": ({"_target_": "os.mkdir", "path": "canary"}, "model.optimizer._target_"),
    "callbacks.early_stopping": ({"monitor": "/canary"}, "callbacks.early_stopping.monitor"),
    "trainer.default_root_dir": ("canary", "trainer.default_root_dir=canary"),
    "print_every": (1.5, "=1.5: Value '1.5' of type 'float' could not"),
}


REFUSED = [where for where, (_, part) in CONFIGS.items() if part is not None]


def tamper_config(gift: Path, where: str, listener: str) -> None:
    """Put a value of CONFIGS into the recorded config."""
    value = yaml.safe_dump(CONFIGS[where][0]).replace("URL", listener)
    tamper(gift, f"config.{where}", yaml.safe_load(value))


def assert_harmless(gift: Path) -> None:
    """Check that nothing ran, and that no secret was written."""
    assert not Path("canary").exists()
    assert not any(SECRET.encode() in c for c in content_of(gift).values() if type(c) is bytes)


@pytest.mark.parametrize("where", REFUSED)
def test_a_config_is_refused(where: str, gift: Path, refusal_line: Refused, listener: str) -> None:
    tamper_config(gift, where, listener)
    assert str(CONFIGS[where][1]) in refusal_line("train", "resume=gift", LONGER)
    assert_harmless(gift)


def test_a_config_without_effect(gift: Path, listener: str) -> None:
    for where in CONFIGS.keys() - {*REFUSED}:
        tamper_config(gift, where, listener)
    assert main(["train", "resume=gift", LONGER]) == 0
    assert_harmless(gift)


def test_a_repeated_command_takes_only_what_it_leaves_open(gift: Path, listener: str) -> None:
    for where in CONFIGS.keys() - {"logger"}:  # others are placed in it
        tamper_config(gift, where, listener)
    assert main(["train", *TINY, LONGER, "hydra.run.dir=gift", "resume=auto"]) in (0, 2)
    assert_harmless(gift)


@pytest.mark.parametrize(
    ("group", "choice"),
    [("callbacks", "../../gift/callbacks/evil"), ("optimizer", "${oc.env:SECRET}"),
     ("schedule", CANARY)],
)  # fmt: skip
def test_a_choice_is_refused(group: str, choice: Any, gift: Path, refusal_line: Refused) -> None:
    tamper(gift, f"choices.{group}", [choice])
    write_files(gift, {"callbacks/evil.yaml": yaml.safe_dump({"x": CANARY})})
    assert f"its run has {group}=" in refusal_line("train", "resume=gift", LONGER)


def test_recorded_words_are_only_printed(gift: Path, refusal_line: Refused) -> None:
    tamper(gift, "words", ["+callbacks.x._target_=os.mkdir", "a\nb", "--config-dir=evil"])
    tamper(gift, "config.callbacks.x", CANARY)
    line = refusal_line("train", "resume=gift", LONGER)
    assert "'+callbacks.x._target_=os.mkdir'" not in line  # it needs no quotes
    assert "charrnn train +callbacks.x._target_=os.mkdir 'a\\nb' --config-dir=evil" in line


def test_files_that_lie_in_a_run_are_unread(gift: Path) -> None:
    evil = {"hydra": {"overrides": {"task": ["+callbacks.x._target_=os.mkdir"]}}}
    texts = {
        "callbacks/default.yaml": yaml.safe_dump({"x": CANARY}),
        ".hydra/overrides.yaml": "['+callbacks.x._target_=os.mkdir']\n",
        ".hydra/config.yaml": yaml.safe_dump({"callbacks": {"x": CANARY}}),
        **dict.fromkeys(("sweep.json", "multirun.yaml"), yaml.safe_dump(evil)),
    }
    write_files(gift, texts)
    assert main(["train", "resume=gift", LONGER]) == 0
    assert not Path("canary").exists()


def test_a_text_is_a_text(gift: Path, workplace: Path, listener: str) -> None:
    """Check that an escaped ${...} in a record is a text, and that any other is refused."""
    texts = ["\\${oc.env:SECRET}", "\\\\\\${oc.env:SECRET}", MISSING_TEXT]
    for tags in (texts, ["${oc.env:SECRET}"], [LOOKED_UP]):
        tamper(gift, "config.tags", tags)
        assert main(["train", "resume=gift", LONGER]) == (0 if tags is texts else 2)
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


def test_a_pipe_in_a_run_is_not_waited_for(gift: Path, refusal_line: Refused) -> None:
    (gift / "metrics.csv").unlink()
    os.mkfifo(gift / "metrics.csv")
    assert "is not a regular file" in refusal_line("train", "resume=gift", LONGER)
    assert main(["runs", "gift"]) == 0


def test_links_and_pipes_in_a_sweep(workplace: Path, refusal_line: Refused) -> None:
    sweep = workplace / "sweep"
    write_files(workplace, {"private/diary": "a poem", "sweep/wandb/metadata": ""})
    (sweep / "wandb/x").symlink_to(workplace / "private")  # in this folder links are a logger's
    words = ["train", "-m", *TINY, "seed=1,2", "hydra.sweep.dir=sweep", "resume=auto"]
    for name in ("multirun.yaml", "0_seed=1"):
        (sweep / name).symlink_to(workplace / "private/diary")
        assert f"{name}: is a link; a run does not write" in refusal_line(*words)
        (sweep / name).unlink()
    os.mkfifo(sweep / "leaderboard.csv")
    assert "is not a regular file" in refusal_line(*words)
    (sweep / "leaderboard.csv").unlink()
    assert main(words) == 0


@pytest.mark.parametrize("option", ["input_txt", "background"])
def test_a_recorded_text_is_read_only_with_its_fingerprint(
    option: str, gift: Path, workplace: Path, capfd: Capture
) -> None:
    (workplace / "diary.txt").write_text(SECRET * 100)
    diary, lock = str(workplace / "diary.txt"), str(gift / ".lock")
    tamper(gift, f"config.data.{option}", diary if option == "input_txt" else [diary])
    before = content_of(gift) | {lock: b"whose process"}
    assert main(["train", "resume=gift", LONGER]) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert "diary.txt" in line
    assert "the data is not what gift" in line
    assert content_of(gift) | {lock: b"whose process"} == before
