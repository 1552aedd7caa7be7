"""The contract of a subclass of LanguageModel: a loss of its own, a step of its own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn import functional as F

import charrnn
from charrnn import LanguageModel, TextDataModule
from charrnn.errors import InputError, RunError
from charrnn.training.progress_bar import Progress
from tests.small_runs import assert_same
from tests.training.notebook import module_of, rows, state_of, trainer


class OwnLoss(LanguageModel):
    """A loss of its own, a hyperparameter, and a parameter beside the network."""

    def __init__(self, vocabulary: Any, factor: float, what: object = None, **options: Any) -> None:
        super().__init__(vocabulary, **options)
        self.save_hyperparameters()
        self.factor = factor
        self.scale = nn.Parameter(torch.ones(()))

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        assert logits.shape[:2] == targets.shape
        return self.factor * super().compute_loss(logits * self.scale, targets)


class OwnStep(LanguageModel):
    """A training_step that knows only what is documented; a dict is as good as a loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        ids, targets, begins = batch
        logits, self.state = self(ids, None if begins else self.state)
        return {"loss": F.cross_entropy(logits.flatten(0, 1), targets.flatten()), "more": 1}


@pytest.mark.parametrize("shards", [1, 2])
def test_a_loss_is_trained_with_all_its_parameters_and_val_loss_stays_the_texts(
    data: TextDataModule, shards: int
) -> None:
    losses = []
    own = module_of(data, OwnLoss, factor=2.0, num_batch_shards=shards)
    for module in (module_of(data, num_batch_shards=shards), own):
        run = trainer(max_steps=1, val_check_interval=1, gradient_clip_val=1.0)
        run.fit(module, data)
        losses.append([float(run.callback_metrics[name]) for name in ("train/loss", "val/loss")])
    assert losses[1][0] == pytest.approx(2 * losses[0][0], rel=1e-6)
    assert losses[1][1] == pytest.approx(losses[0][1], abs=0.05)
    assert float(module.scale) != 1


def test_its_checkpoint_holds_its_plain_hyperparameters_and_is_all_that_it_needs(
    data: TextDataModule, tmp_path: Path
) -> None:
    sgd = functools.partial(torch.optim.SGD, lr=0.5)
    module = module_of(data, OwnLoss, factor=0.25, what=object(), optimizer=sgd)
    run = trainer(max_steps=2, logger=CSVLogger(tmp_path))
    run.fit(module, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    kept = torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]
    assert kept["factor"] == 0.25
    assert kept["optimizer"] == {"name": "torch.optim.sgd.SGD", "lr": 0.5}
    assert "what" not in kept
    loaded = OwnLoss.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert (loaded.factor, loaded.vocabulary) == (0.25, data.vocabulary)
    expected = loaded.to_model().generate(10, seed=1)
    assert charrnn.load(tmp_path / "a.ckpt").generate(10, seed=1) == expected


@pytest.mark.parametrize("group", [1, 3])
def test_a_step_of_ones_own_is_the_step_that_there_is(
    data: TextDataModule, tmp_path: Path, group: int
) -> None:
    """Trained, clipped and logged alike, and resumed to the bit from the middle of an epoch."""

    def run(kind: type[LanguageModel], name: str, start: Path | None = None) -> Path:
        saved = ModelCheckpoint(
            tmp_path / name, "{step}", save_top_k=-1, every_n_train_steps=1,
            save_on_train_epoch_end=False,
        )  # fmt: skip
        one = trainer(
            saved, max_epochs=2, limit_train_batches=6, accumulate_grad_batches=group,
            logger=CSVLogger(tmp_path / name, name="", version=""), log_every_n_steps=1,
            gradient_clip_val=0.05,
        )  # fmt: skip
        module = module_of(data, kind, dropout=0.2)
        one.fit(module, data, ckpt_path=start, weights_only=True)
        assert all(not part.requires_grad for layer in module.state or [] for part in layer)
        one.save_checkpoint(tmp_path / name / "end.ckpt")
        return tmp_path / name

    def logged(path: Path) -> list[str]:
        return [row["train/loss"] for row in rows(path / "metrics.csv") if row["train/loss"]]

    usual, own = run(LanguageModel, "usual"), run(OwnStep, "own")
    assert_same(state_of(own / "end.ckpt"), state_of(usual / "end.ckpt"))
    assert logged(own) == logged(usual)
    assert len(logged(own)) == 12 // group
    again = run(OwnStep, "again", own / f"step={2 if group == 3 else 7}.ckpt")
    assert_same(state_of(again / "end.ckpt"), state_of(own / "end.ckpt"))


def test_what_a_step_returns_is_logged_and_watched_and_may_be_none(data: TextDataModule) -> None:
    class Changes(LanguageModel):
        loss: Any = None

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss(super().training_step(batch, batch_idx), batch_idx)

    def last_loss(loss: Any) -> float:
        module = module_of(data, Changes)
        run = trainer(Progress(), max_steps=6, enable_progress_bar=True)
        module.loss = loss
        run.fit(module, data)
        return float(run.callback_metrics["train/loss"])

    usual = last_loss(lambda loss, i: loss)
    assert last_loss(lambda loss, i: loss + 100) == pytest.approx(usual + 100)
    assert 0 < last_loss(lambda loss, i: None if i in (0, 5) else loss) < 4
    with pytest.raises(RunError, match="the loss or a gradient of step 4 is not finite"):
        last_loss(lambda loss, i: loss * (torch.nan if i == 3 else 1))


@pytest.mark.parametrize("shards", [1, 2])
def test_a_loss_that_is_no_number_is_refused(data: TextDataModule, shards: int) -> None:
    class Vector(LanguageModel):
        def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
            return logits.flatten(0, 1).sum(-1)

    module = module_of(data, Vector, num_batch_shards=shards)
    with pytest.raises(InputError, match="the mean loss, a single number"):
        trainer(max_steps=1).fit(module, data)
