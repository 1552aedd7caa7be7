"""LanguageModel and TextDataModule as users of Lightning extend them, in a script."""

from __future__ import annotations

import functools
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

import charrnn
from charrnn import LanguageModel, TextDataModule
from charrnn.__main__ import main
from charrnn.errors import InputError, RunError
from charrnn.training.module import ADAM
from charrnn.training.progress_bar import Progress
from tests import REPOSITORY
from tests.small_runs import assert_same, column, metrics, tensors
from tests.training.notebook import SIZES, WINDOWS, OwnStep, Seen, module_of, trainer

PAGE = (REPOSITORY / "docs" / "lightning.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_classes_of_the_page_train_as_they_are_printed(data: TextDataModule) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        if "(LanguageModel)" in block:
            exec(block, names)
    for name in ("Focal", "Steady"):
        run = trainer(max_steps=3)
        run.fit(names[name](data.vocabulary, **SIZES), data)
        assert 0 < run.callback_metrics["train/loss"] < 4


def run_script(words: list[str], patch: pytest.MonkeyPatch) -> Any:
    (script,) = re.findall(r"```python\n# fit\.py\n(.*?)```", README, re.DOTALL)
    Path("fit.py").write_text(script)
    patch.setattr(sys, "argv", ["fit.py", *words, "hydra/job_logging=none"])
    patch.setattr(GlobalHydra.instance(), "hydra", None)
    return runpy.run_path("fit.py", run_name="__main__")


def test_the_script_of_readme_trains_as_the_command(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data.input_txt=corpus.txt", "model.hidden_size=8", "data.seq_length=10",
             "trainer=cpu", "trainer.max_steps=7", "validate_every=3", "print_every=2",
             "model.dropout=0.2", "model=gru", "optimizer=adamw", "schedule=cosine", "seed=3",
             "callbacks=ema", "trainer.accumulate_grad_batches=2", "threads=2"]  # fmt: skip
    assert main(["train", *words, "hydra.run.dir=command"]) == 0
    run_script([*words, "hydra.run.dir=script"], monkeypatch)
    one, other = Path("command"), Path("script")
    assert metrics(one) == metrics(other)
    assert list(column(one, "val/loss")) == [3, 6, 7]
    for part in ("weights", "optimizer", "ranks", "best"):
        assert_same(tensors(one)[part], tensors(other)[part], part)
    samples = [[p.read_text() for p in sorted(run.glob("samples/*"))] for run in (one, other)]
    assert samples[0] == samples[1]
    # the script resumes
    longer = [*words, "trainer.max_steps=9", "hydra.run.dir=longer"]
    run_script([*longer, "+ckpt_path=script/checkpoints/last.ckpt"], monkeypatch)
    assert main(["train", "resume=command", "trainer.max_steps=9"]) == 0
    assert_same(tensors(Path("longer"))["weights"], tensors(one)["weights"])


def test_loaders_that_are_given_alone_have_the_same_windows(data: TextDataModule) -> None:
    other = TextDataModule("corpus.txt", batch_size=4, seq_length=10, shuffle=True)
    other.setup()
    data.shuffle = True
    weights = []
    for given in ((data,), (other.train_dataloader(), other.val_dataloader())):
        seen, module = Seen(), module_of(data)
        trainer(seen, max_epochs=2).fit(module, *given)
        assert seen.trained == 2 * [(i, i == 0) for i in range(WINDOWS)]
        assert seen.validated == [WINDOWS, 2 * WINDOWS]
        weights.append(module.state_dict())
    assert_same(*weights)
    assert len(list(other.train_dataloader())) == WINDOWS
    run = trainer(max_steps=5)
    run.fit(module_of(data), other.train_dataloader())
    run.save_checkpoint("a.ckpt")
    with pytest.raises(InputError, match="give the data module"):
        trainer(max_steps=9).fit(module_of(data), other.train_dataloader(), ckpt_path="a.ckpt")


class OwnLoss(LanguageModel):
    """A user's loss, a hyperparameter, and a parameter beside the network."""

    def __init__(self, vocabulary: Any, factor: float, what: object = None, **options: Any) -> None:
        super().__init__(vocabulary, **options)
        self.save_hyperparameters()
        self.factor = factor
        self.scale = nn.Parameter(torch.ones(()))

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        assert logits.shape[:2] == targets.shape
        return self.factor * super().compute_loss(logits * self.scale, targets)


@pytest.mark.parametrize("shards", [1, 2])
def test_a_loss_of_ones_own_trains_all_its_parameters(data: TextDataModule, shards: int) -> None:
    losses = []
    own = module_of(data, OwnLoss, factor=2.0, num_batch_shards=shards)
    for module in (module_of(data, num_batch_shards=shards), own):
        run = trainer(max_steps=1, val_check_interval=1, gradient_clip_val=1.0)
        run.fit(module, data)
        losses.append([float(run.callback_metrics[name]) for name in ("train/loss", "val/loss")])
    assert losses[1][0] == pytest.approx(2 * losses[0][0], rel=1e-6)
    assert losses[1][1] == pytest.approx(losses[0][1], abs=0.05)
    assert float(module.scale) != 1


def test_a_subclass_loads_from_plain_hyperparameters(data: TextDataModule) -> None:
    """Check that the file describes optimizer and schedule, and builds neither."""
    how = {
        "optimizer": functools.partial(torch.optim.AdamW, lr=3e-3, betas=(0.9, 0.98)),
        "schedule": functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1),
    }
    module = module_of(data, OwnLoss, factor=0.25, what=object(), **how)
    run = trainer(max_epochs=1, limit_train_batches=2, logger=CSVLogger("logs"))
    run.fit(module, data)
    (config,) = run.lr_scheduler_configs
    assert (config.scheduler.total_steps, config.scheduler.last_epoch) == (2, 2)
    run.save_checkpoint("a.ckpt")
    kept = torch.load("a.ckpt", weights_only=True)["hyper_parameters"]
    assert (kept["factor"], kept["schedule"]["max_lr"]) == (0.25, 0.1)
    optimizer = {"name": "torch.optim.adamw.AdamW", "lr": 3e-3, "betas": (0.9, 0.98)}
    assert kept["optimizer"] == optimizer
    assert "what" not in kept
    loaded = OwnLoss.load_from_checkpoint("a.ckpt", weights_only=True)
    assert (loaded.factor, loaded.vocabulary) == (0.25, data.vocabulary)
    assert loaded.make_optimizer is ADAM
    model = charrnn.load("a.ckpt")
    assert model.trained.facts["step"] == 2
    assert model.generate(40, seed=1) == module.to_model().generate(40, seed=1)


def test_a_step_of_ones_own_is_the_step_that_there_is(data: TextDataModule) -> None:
    """Train and clip alike. test_lightning.py resumes such a step."""
    modules = [module_of(data, kind, dropout=0.2) for kind in (LanguageModel, OwnStep)]
    losses = []
    for module in modules:
        torch.manual_seed(2)
        run = trainer(max_epochs=2, accumulate_grad_batches=3, gradient_clip_val=0.05)
        run.fit(module, data)
        assert not any(part.requires_grad for layer in module.state or [] for part in layer)
        losses.append(run.callback_metrics["train/loss"])
    assert losses[0] == losses[1]
    assert_same(modules[0].state_dict(), modules[1].state_dict())


def test_the_loss_of_a_training_step_is_logged_and_may_be_none(data: TextDataModule) -> None:
    class Changes(LanguageModel):
        loss: Any = None

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.loss(super().training_step(batch, batch_idx), batch_idx)

    def fit(loss: Any) -> float:
        module = module_of(data, Changes)
        run = trainer(Progress(), max_steps=6, enable_progress_bar=True)
        module.loss = loss
        run.fit(module, data)
        return float(run.callback_metrics["train/loss"])

    assert fit(lambda loss, i: loss + 100) == pytest.approx(fit(lambda loss, i: loss) + 100)
    assert 0 < fit(lambda loss, i: None if i in (0, 5) else loss) < 4
    with pytest.raises(RunError, match="diverged: after step 5 a weight is not finite"):
        fit(lambda loss, i: loss * (torch.nan if i == 3 else 1))
