"""LanguageModel and TextDataModule as users of Lightning extend them, in a script of their own."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner

import charrnn
from charrnn import LanguageModel, TextDataModule
from charrnn.errors import InputError
from tests import REPOSITORY
from tests.small_runs import assert_same
from tests.training.test_lightning import (
    WINDOWS,
    Seen,
    data,
    module_of,
    quiet_on_one_thread,
    rows,
    state_of,
    text,
    trainer,
)  # fmt: skip

__all__ = ["data", "quiet_on_one_thread", "text"]

SIZES = {"hidden_size": 8, "embedding_size": 4, "num_layers": 1}


# -- a step and a loss of one's own ------------------------------------------------------


def made(kind: type[LanguageModel], data: TextDataModule, **options: Any) -> LanguageModel:
    torch.manual_seed(1)
    return kind(data.vocabulary, **{**SIZES, **options})


# -- loaders -----------------------------------------------------------------------------


def test_a_loader_without_a_trainer(data: TextDataModule) -> None:
    ids, targets, begins = next(iter(data.train_dataloader()))
    assert begins
    assert torch.equal(ids, torch.from_numpy(data.streams.window(0)[0]))
    assert torch.equal(targets[:, :-1], ids[:, 1:])
    assert len(list(data.train_dataloader())) == WINDOWS
    data.shuffle = True
    loader = data.train_dataloader()
    first, second = ([window[0] for window in loader] for _ in range(2))
    assert not torch.equal(torch.cat(first), torch.cat(second))


@pytest.mark.parametrize("shuffle", [False, True])
def test_loaders_that_are_given_alone(data: TextDataModule, text: str, shuffle: bool) -> None:
    data.shuffle = shuffle
    weights = []
    for alone in (False, True):
        seen, module = Seen(), made(LanguageModel, data)
        run = trainer(seen, max_epochs=2)
        if alone:
            free = TextDataModule(text, batch_size=4, seq_length=10, shuffle=shuffle)
            free.setup()
            run.fit(module, free.train_dataloader(), free.val_dataloader())
        else:
            run.fit(module, data)
        assert seen.trained == 2 * [(i, i == 0) for i in range(WINDOWS)]
        assert seen.validated == [WINDOWS, 2 * WINDOWS]
        weights.append(module.state_dict())
    assert_same(*weights)


def test_a_loader_alone_does_not_go_on_in_the_middle(data: TextDataModule, tmp_path: Path) -> None:
    saved = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=5)
    trainer(saved, max_steps=7).fit(made(LanguageModel, data), data.train_dataloader())
    with pytest.raises(InputError, match="give the data module"):
        trainer(max_steps=9).fit(
            made(LanguageModel, data), data.train_dataloader(), ckpt_path=tmp_path / "step=5.ckpt"
        )


@pytest.mark.parametrize("name", ["limit_val_batches", "overfit_batches"])
def test_a_share_of_the_validation_text(data: TextDataModule, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}=0.3: .* one batch"):
        trainer(max_steps=2, **{name: 0.3}).fit(made(LanguageModel, data), data)


def test_several_validation_loaders(data: TextDataModule) -> None:
    module, run = made(LanguageModel, data), trainer(max_epochs=1)
    run.fit(module, data.train_dataloader(), [data.val_dataloader(), data.test_dataloader()])
    metrics = run.callback_metrics
    assert module.best.loss == pytest.approx(float(metrics["val/loss"]))
    (tested,) = run.test(module, data, verbose=False)
    assert float(metrics["val/loss_1"]) == pytest.approx(tested["test/loss"])
    found = run.test(module, [data.val_dataloader(), data.test_dataloader()], verbose=False)
    assert {"test/loss", "test/loss_1"} <= {name for each in found for name in each}


def test_lr_find(data: TextDataModule) -> None:
    module, run = made(LanguageModel, data), trainer(max_epochs=4)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    found = Tuner(run).lr_find(
        module, datamodule=data, num_training=30, update_attr=False, max_lr=0.5
    )
    assert found is not None
    assert 1e-8 < (found.suggestion() or 0.0) < 0.5
    assert_same(dict(module.state_dict()), before)
    run.fit(module, data)
    assert run.callback_metrics["val/loss"] < 3.5
    with pytest.raises(AttributeError, match="learning_rate"):
        trainer(LearningRateFinder(), max_epochs=4).fit(module, data)


@pytest.mark.slow
def test_two_spawned_processes(data: TextDataModule) -> None:
    module = made(LanguageModel, data)
    run = trainer(strategy="ddp_spawn", devices=2, max_steps=3, use_distributed_sampler=False)
    run.fit(module, data)
    assert run.callback_metrics["train/loss"] < 4


# -- schedules ---------------------------------------------------------------------------


def test_a_rate_that_goes_by_validation_resumes_to_the_bit(
    data: TextDataModule, tmp_path: Path
) -> None:
    """Never better by 10 nats, so each validation after the first halves it."""
    schedule = functools.partial(
        torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=0, threshold=10.0,
        threshold_mode="abs",
    )  # fmt: skip

    def run(name: str, start: Path | None = None) -> tuple[Path, dict[int, float]]:
        saved = ModelCheckpoint(
            tmp_path / name, "{step}", save_top_k=-1, monitor="val/loss",
            save_on_train_epoch_end=False, auto_insert_metric_name=False,
        )  # fmt: skip
        logger = CSVLogger(tmp_path / name, name="", version="")
        one = trainer(
            saved, max_steps=13, logger=logger, log_every_n_steps=1, num_sanity_val_steps=0,
            val_check_interval=3, check_val_every_n_epoch=None,
        )  # fmt: skip
        one.fit(made(LanguageModel, data, schedule=schedule), data, ckpt_path=start,
                weights_only=True)  # fmt: skip
        one.save_checkpoint(tmp_path / name / "end.ckpt")
        found = rows(tmp_path / name / "metrics.csv")
        return tmp_path / name, {int(row["step"]): float(row["lr"]) for row in found if row["lr"]}

    whole, rates = run("whole")
    assert [rates[step] for step in (1, 3, 6, 7, 10, 13)] == [
        2e-3, 2e-3, 2e-3, 1e-3, 5e-4, 2.5e-4,
    ]  # fmt: skip
    for step in (3, 6, 9):
        again, rest = run(f"from-{step}", whole / f"{step}.ckpt")
        assert rest == {at: rate for at, rate in rates.items() if at > step}
        assert_same(state_of(again / "end.ckpt"), state_of(whole / "end.ckpt"))


def test_a_rate_that_goes_by_validation_needs_one(data: TextDataModule) -> None:
    module = made(LanguageModel, data, schedule=torch.optim.lr_scheduler.ReduceLROnPlateau)
    with pytest.raises(InputError, match="ReduceLROnPlateau goes by val/loss"):
        trainer(max_steps=2, limit_val_batches=0).fit(module, data)


@pytest.mark.parametrize("form", ["list", "lists", "dicts"])
def test_optimizers_in_any_form_that_lightning_takes_resume_to_the_bit(
    data: TextDataModule, tmp_path: Path, form: str
) -> None:
    class Own(LanguageModel):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), 1e-2)
            falling = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.9)
            stepped = {"scheduler": falling, "interval": "step"}
            return {
                "list": [optimizer],
                "lists": ([optimizer], [stepped]),
                "dicts": ({"optimizer": optimizer, "lr_scheduler": stepped},),
            }[form]

    def run(steps: int, start: Path | None = None) -> Path:
        one = trainer(max_steps=steps, limit_val_batches=0)
        one.fit(made(Own, data), data, ckpt_path=start, weights_only=True)
        saved = tmp_path / f"{steps}-{start is None}.ckpt"
        one.save_checkpoint(saved)
        return saved

    assert_same(state_of(run(6, run(3))), state_of(run(6)))


# -- hyperparameters and metrics ---------------------------------------------------------


def test_hyperparameters_are_plain(data: TextDataModule, tmp_path: Path) -> None:
    module = module_of(
        data,
        optimizer=functools.partial(torch.optim.AdamW, lr=3e-3, betas=(0.9, 0.98)),
        schedule=functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1),
    )
    assert module.hparams["optimizer"] == {
        "name": "torch.optim.adamw.AdamW", "lr": 3e-3, "betas": (0.9, 0.98)
    }  # fmt: skip
    assert module.hparams["schedule"]["max_lr"] == 0.1
    assert module_of(data).hparams["optimizer"]["lr"] == 2e-3
    run = trainer(max_steps=2)
    run.fit(module, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    loaded = LanguageModel.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert_same(dict(loaded.state_dict()), dict(module.state_dict()))
    # it was described, and is not made of a file
    assert loaded.hparams["optimizer"]["name"] == "torch.optim.adam.Adam"
    trainer(max_steps=2).fit(loaded, data)


def test_an_early_end_is_told_once(data: TextDataModule, capfd: pytest.CaptureFixture[str]) -> None:
    """Not again by the validations that min_steps adds, nor by one after the training."""
    stopping = charrnn.training.EarlyStopping(patience=1, min_delta=100)
    run = trainer(stopping, min_steps=15, max_steps=30, val_check_interval=5)
    module = made(LanguageModel, data)
    run.fit(module, data)
    assert 15 <= run.global_step < 30
    run.validate(module, data, verbose=False)
    assert capfd.readouterr().err.count("stopping: val/loss has not got lower") == 1


def test_the_page_that_tells_of_it(data: TextDataModule) -> None:
    """The classes of docs/lightning.md train as they are printed."""
    page = (REPOSITORY / "docs" / "lightning.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        if "(LanguageModel)" in block:  # another is tests/runs/test_build.py's
            exec(block, names)
    for name in ("Focal", "Steady"):
        run = trainer(max_steps=3)
        run.fit(names[name](data.vocabulary, **SIZES), data)
        assert 0 < run.callback_metrics["train/loss"] < 4
