"""metrics.csv and TensorBoard: whole rows, in step with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
from google.protobuf import json_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from charrnn.errors import InputError
from charrnn.training import MetricsCSV, metrics_file
from tests.small_runs import Train, column, metrics

HEADER = "step,epoch,train/loss,val/loss,val/bits_per_character,lr,characters_per_second\n"


def test_values_of_a_step_are_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a resume keeps the rows up to its step, whatever columns they have."""
    monkeypatch.setattr(metrics_file, "WRITE_INTERVAL", 0.0)
    logger = MetricsCSV(tmp_path)
    path = tmp_path / "metrics.csv"
    logger.log_metrics({"epoch": 0.5, "train/loss": 2.5, "lr": 0.1}, 3)
    logger.save()  # as Lightning does after each value
    logger.log_metrics({"val/loss": 2.25}, 3)
    logger.log_metrics({"epoch": 0.75, "train/loss": 2.0}, 4)
    # a row is there as soon as the next has begun
    first = "3,0.5,2.5,2.25,,0.1,"
    assert path.read_text() == HEADER + first + "\n"
    logger.save()
    logger.log_metrics({"some/other": 7.0}, 4)
    logger.log_metrics({"another": 8.0}, 5)
    logger.finalize("success")
    header = HEADER.strip() + ",some/other,another\n"
    assert path.read_text() == header + first + ",,\n4,0.75,2.0,,,,,7.0,\n5,,,,,,,,8.0\n"
    again = MetricsCSV(tmp_path)
    again.save()  # as Lightning does before the first step is known
    again.start(3)
    again.log_metrics({"train/loss": 1.0}, 4)
    again.finalize("success")
    assert path.read_text() == header + first + ",,\n4,,1.0,,,,,,\n"


class Logs(L.Callback):
    """Logs the step that it was called at, as Lightning's users do."""

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.log("own/step", float(trainer.global_step))

    def on_validation_batch_end(self, *_: Any) -> None:
        self.log("own/batch", 1.0)

    def on_validation_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.log("own/val", float(trainer.global_step))


@pytest.fixture
def run(run_cache: Train) -> Path:
    callback = "+callbacks.own._target_=tests.training.test_loggers.Logs"
    return run_cache(callback, "trainer.max_steps=20", "logger=default")


def test_values_that_users_log_are_kept_at_their_step(run: Path) -> None:
    rows = {int(row["step"]): row for row in metrics(run)}
    assert list(rows) == [1, 5, 7, 10, 14, 15, 20]
    own = {step: row["own/step"] for step, row in rows.items() if row["own/step"]}
    assert own == {step: f"{step:.1f}" for step in (5, 10, 15, 20)}
    validated = {step: row["own/val"] for step, row in rows.items() if row["own/val"]}
    assert validated == {step: f"{step:.1f}" for step in (7, 14, 20)}
    assert {step for step, row in rows.items() if row["own/batch"]} == {7, 14, 20}
    events = EventAccumulator(str(run)).Reload()
    assert [event.step for event in events.Scalars("own/step")] == [5, 10, 15, 20]
    assert [event.step for event in events.Scalars("epoch")] == list(rows)


def test_hparams_have_the_options_and_the_best_loss(run: Path) -> None:
    events = EventAccumulator(str(run)).Reload()
    contents = events.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"])
    options = json_format.MessageToDict(start.session_start_info)["hparams"]
    assert (options["model.hidden_size"], options["optimizer"]) == (16, "adam")
    assert "model.kind" not in options  # neither given, swept nor decided
    metrics = HParamsPluginData.FromString(contents["_hparams_/experiment"]).experiment
    names = [info.name.tag for info in metrics.metric_infos]
    assert names == ["val/best_loss_as_written", "val/best_loss"]
    best = events.Scalars("val/best_loss")
    assert [event.step for event in best] == [7, 14, 20]
    assert best[-1].value == pytest.approx(min(column(run, "val/loss").values()))


@pytest.mark.parametrize("damage", ["2,0.1," + 200_000 * "9" + ",,,,", "x", "\udcff", "2" * 5000])
def test_a_damaged_file_is_refused_in_a_line(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(f"{HEADER}{damage}\n3,0.15,4.0,,,,\n", errors="surrogateescape")
    with pytest.raises(InputError, match=r"metrics.csv: cannot be read \(.*\); remove it"):
        MetricsCSV(tmp_path).start(last_step=3)
