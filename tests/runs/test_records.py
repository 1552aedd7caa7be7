"""The record of a run is its decided config, in its folder and in its checkpoints."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from charrnn.options.training import flatten
from charrnn.runs.decisions import DECIDED
from tests.conftest import Patch, write_files
from tests.faults.child import Fault, run
from tests.small_runs import (
    SMALL,
    Capture,
    Train,
    assert_same,
    column,
    read_record,
    tensors,
    train_config,
)
from tests.tools import refusal_of

# what conf/ leaves open
OPEN = (*DECIDED, "threads", "tf32", "checkpoint_every", "trainer.limit_val_batches")


def in_checkpoint(run: Path, name: str = "last.ckpt") -> Any:
    return checkpoint.read(run / "checkpoints" / name)[ENTRY]["config"]


def test_a_record_keeps_only_the_interpolations_of_conf(train: Train, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RATE", "0.25")
    rate, place = "optimizer.lr=${oc.env:RATE}", "+vars.note=${hydra:runtime.output_dir}/x"
    run = train(rate, place, "trainer.max_steps=1")
    record, conf = flatten(read_record(run)), flatten(OmegaConf.to_container(train_config()))
    kept, expected = (
        {name: value for name, value in values.items() if "${" in str(value)}
        for values in (record, conf)
    )
    assert kept == expected
    assert (record["optimizer.lr"], record["vars.note"]) == (0.25, f"{run}/x")
    assert not [name for name in OPEN if record[name] is None]
    assert in_checkpoint(run) == read_record(run)
    # loggers get the values
    values = yaml.safe_load((run / "hparams.yaml").read_text())
    assert values["model"]["optimizer"]["lr"] == 0.25
    assert values["trainer"]["default_root_dir"] == str(run)


def test_a_resume_changes_one_place_and_all_follow(train: Train) -> None:
    run = train("trainer.max_steps=5")
    words = ("optimizer.lr=1e-4", "checkpoint_every=2", "print_every=1", "validate_every=3")
    words = (*words, "optimizer.weight_decay=0.25")
    train("resume=run", *words, "trainer.max_steps=9", small=False)
    record = read_record(run)
    assert record["model"]["optimizer"] == "${optimizer}"
    assert record["optimizer"]["lr"] == 1e-4
    (group,) = tensors(run)["optimizer"][0]["param_groups"]
    assert (group["initial_lr"], group["weight_decay"]) == (1e-4, 0.25)
    assert list(column(run, "train/loss")) == [1, 5, 6, 7, 8, 9]
    assert [step for step in column(run, "val/loss") if step > 5] == [6, 9]
    train("resume=run", "validate_every=0", "threads=2", "trainer.max_steps=12", small=False)
    record = read_record(run)
    assert (record["trainer"]["limit_val_batches"], record["threads"]) == (0, 2)
    assert max(column(run, "val/loss")) == 9
    train("resume=run", "validate_every=3", "trainer.max_steps=15", small=False)
    assert max(column(run, "val/loss")) == 15


WORDS = (*SMALL, "model.dropout=0.25", "print_every=1", "schedule=constant")


def test_a_chain_of_kills_with_changed_options_is_the_run_without_kills(workplace: Path) -> None:
    """Kill a resume before its first checkpoint, and others after it."""

    def record_of(name: str) -> Any:
        config = in_checkpoint(workplace / name)
        return config["optimizer"]["lr"], config["trainer"]["max_steps"]

    start = ["train", *WORDS, "trainer.max_steps=20"]
    run([*start, "hydra.run.dir=broken"], workplace, Fault("step", "forward", 10), code=-9)
    changed = ["train", "resume=broken", "optimizer.lr=1e-3", "trainer.max_steps=25"]
    # killed before its first checkpoint, the resume changes nothing
    run(changed, workplace, Fault("step", "forward", 3), code=-9)
    assert record_of("broken") == (0.002, 20)
    run(changed, workplace, Fault("checkpoint", "end", 3), code=-9)
    run(["train", "resume=broken"], workplace)
    assert record_of("broken") == (1e-3, 25)
    assert in_checkpoint(workplace / "broken") == read_record(workplace / "broken")
    # the same changes at the same step, without a kill
    run([*start, "hydra.run.dir=whole", "callbacks.checkpoints.keep_every=7"], workplace)
    point = workplace / "whole" / "checkpoints" / "step-7.ckpt"
    point.replace(point.with_name("last.ckpt"))
    run(["train", "resume=whole", *changed[2:]], workplace)
    assert_same(tensors(workplace / "broken"), tensors(workplace / "whole"))


OWN = ("+callbacks.own._target_=lightning.pytorch.callbacks.DeviceStatsMonitor",
       "+callbacks.own.cpu_stats=false")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (OWN, "callbacks.own._target_=lightning.pytorch.callbacks.DeviceStatsMonitor"),
        (("--config-dir=mine", "schedule=mine"), "schedule=mine"),
        (("~callbacks.progress",), "callbacks.progress._target_"),
        (("callbacks.early_stopping.monitor=val/loss_as_written", "callbacks=early_stopping"),
         "callbacks.early_stopping.monitor=val/loss_as_written"),
    ],
)  # fmt: skip
def test_a_part_of_ones_own_is_not_lost_in_silence(
    words: tuple[str, ...], part: str, workplace: Path, capfd: Capture
) -> None:
    """Kill a run, resume it by its folder, and then by the command that the refusal prints."""
    write_files(workplace / "mine", {"schedule/mine.yaml": "defaults: [constant]\n"})
    line = ["train", *WORDS, *words, "trainer.max_steps=20", "hydra.run.dir=run"]
    run(line, workplace, Fault("step", "forward", 10), code=-9)
    refused = refusal_of(capfd, "train", "resume=run", "trainer.max_steps=9")
    assert f"its run has {part}" in refused
    without = part.partition("=")[0].removesuffix("._target_")
    command, _, hint = refused.strip().partition("repeat the command: charrnn ")[2].partition(" (")
    again = shlex.split(command)
    is_optional = part.startswith("callbacks")
    assert hint == (f"or go on without it: ~{without})" if is_optional else "")
    if part.startswith("callbacks.own"):
        assert main(["train", "resume=run", f"~{without}", "trainer.max_steps=8"]) == 0
        assert main(["train", "resume=run"]) == 0
        assert OWN[0] not in Path("run/.hydra/overrides.yaml").read_text()
    assert again.count("trainer.max_steps=9") == 1
    assert main(again) == 0
    assert tensors(workplace / "run")["step"] == 9
