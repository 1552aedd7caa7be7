"""LanguageModel and TextDataModule as users of Lightning extend them, in a script of their own."""

from __future__ import annotations

import functools
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from lightning.pytorch.callbacks import EarlyStopping
from torch.nn.utils.parametrize import register_parametrization

import charrnn
from charrnn import LanguageModel, TextDataModule
from charrnn.errors import InputError
from tests import REPOSITORY
from tests.small_runs import assert_same, metrics
from tests.training.notebook import SIZES, WINDOWS, Seen, module_of, state_of, trainer


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
        one.fit(module_of(data, Own), data, ckpt_path=start, weights_only=True)
        saved = tmp_path / f"{steps}-{start is None}.ckpt"
        one.save_checkpoint(saved)
        return saved

    assert_same(state_of(run(6, run(3))), state_of(run(6)))


def test_the_classes_of_the_page_train_as_they_are_printed(data: TextDataModule) -> None:
    page = (REPOSITORY / "docs" / "lightning.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        if "(LanguageModel)" in block:
            exec(block, names)
    for name in ("Focal", "Steady"):
        run = trainer(max_steps=3)
        run.fit(names[name](data.vocabulary, **SIZES), data)
        assert 0 < run.callback_metrics["train/loss"] < 4


def test_the_script_of_the_page_trains_as_it_is_printed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPOSITORY / "docs" / "lightning.md").read_text(encoding="utf-8")
    [(script, command)] = re.findall(
        r"```python\n# fit\.py\n(.*?)```\n\n```sh\npython fit\.py (.*?)```", page, re.DOTALL
    )
    Path("fit.py").write_text(script)
    Path("corpus.txt").rename("my.txt")
    words = shlex.split(command.replace("\\\n", " "))
    words += ["model.hidden_size=8", "data.batch_size=4", "data.seq_length=10", "trainer=cpu",
              "trainer.max_steps=6", "validate_every=3", "hydra.run.dir=out",
              "hydra/job_logging=none", "hydra/hydra_logging=none"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["fit.py", *words])
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")  # the script sets it
    monkeypatch.setattr(GlobalHydra.instance(), "hydra", None)
    runpy.run_path("fit.py", run_name="__main__")
    rows = metrics(Path("out"))
    assert [row["step"] for row in rows if row["val/loss"]] == ["3", "6"]
    model = charrnn.load("out/best.ckpt")
    assert (model.trained.architecture.kind, model.trained.architecture.hidden_size) == ("gru", 8)
    text = Path("my.txt").read_text(encoding="utf-8")
    losses = [float(row["val/loss"]) for row in rows if row["val/loss"]]
    val = text[int(0.8 * len(text)) : int(0.9 * len(text))]
    assert model.score(val) == pytest.approx(min(losses), rel=0.01)
    assert any(Path("out/samples").iterdir())
    assert any(Path("out").glob("events.out.tfevents.*"))


# -- loaders and what else a Trainer does ------------------------------------------------


def test_loaders_that_are_given_alone(data: TextDataModule) -> None:
    """The same windows, with a Trainer and without; in the middle of an epoch none knows."""
    free = TextDataModule("corpus.txt", batch_size=4, seq_length=10, shuffle=True)
    free.setup()
    data.shuffle = True
    weights = []
    for given in ((data,), (free.train_dataloader(), free.val_dataloader())):
        seen, module = Seen(), module_of(data)
        trainer(seen, max_epochs=2).fit(module, *given)
        assert seen.trained == 2 * [(i, i == 0) for i in range(WINDOWS)]
        assert seen.validated == [WINDOWS, 2 * WINDOWS]
        weights.append(module.state_dict())
    assert_same(*weights)
    free.shuffle = False
    ids, targets, begins = next(iter(free.train_dataloader()))
    assert begins
    assert torch.equal(ids, torch.from_numpy(free.streams.read_windows(0, 1)[:, :-1]))
    assert torch.equal(targets[:, :-1], ids[:, 1:])


def test_a_loader_alone_does_not_go_on_in_the_middle(data: TextDataModule, tmp_path: Path) -> None:
    run = trainer(max_steps=5)
    run.fit(module_of(data), data.train_dataloader())
    run.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="give the data module"):
        trainer(max_steps=9).fit(
            module_of(data), data.train_dataloader(), ckpt_path=tmp_path / "a.ckpt"
        )


def test_windows_to_validate_on_for_a_module_of_ones_own(data: TextDataModule) -> None:
    class Own(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.scores = torch.nn.Embedding(len(data.vocabulary), len(data.vocabulary))
            self.count = 0

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            ids, targets, _ = batch
            logits = self.scores(ids).flatten(0, 1)
            return torch.nn.functional.cross_entropy(logits, targets.flatten())

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.count += len(batch[0].flatten())
            self.log("val/own", self.training_step(batch, batch_idx))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    own = TextDataModule("corpus.txt", batch_size=4, seq_length=10, validation="windows")
    module, run = Own(), trainer(max_epochs=1, num_sanity_val_steps=0)
    run.fit(module, own)
    assert 0 < run.callback_metrics["val/own"] < 4
    ids = len(data.encoded.get_split("val"))
    assert module.count == (ids - 1) // 4 // 10 * 40
    with pytest.raises(InputError, match="must be text or windows"):
        TextDataModule("corpus.txt", validation="window")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["decoder.weight", "recurrent.0.weight_hh_l0"])
def test_a_parametrized_weight_is_exported_as_what_it_computes(
    data: TextDataModule, name: str
) -> None:
    class LowRank(torch.nn.Module):
        def __init__(self, rows: int, columns: int) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.randn(rows, 2))
            self.b = torch.nn.Parameter(torch.randn(2, columns))

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight + self.a @ self.b

    module = module_of(data)
    place, _, weight = name.rpartition(".")
    layer = module.network.get_submodule(place)
    register_parametrization(layer, weight, LowRank(*layer.get_parameter(weight).shape))
    trainer(max_steps=3).fit(module, data)
    expected, _ = module.network(torch.from_numpy(data.vocabulary.encode("the cat"))[None])
    logits = module.to_model().logits("the cat", counts="none")
    assert logits == pytest.approx(expected[0].detach().numpy(), abs=1e-5)


# -- schedules and callbacks -------------------------------------------------------------


def test_an_early_end_is_told_once(data: TextDataModule, capfd: pytest.CaptureFixture[str]) -> None:
    """Not again by the validations that min_steps adds, nor by one after the training."""
    stopping = charrnn.training.EarlyStopping(patience=1, min_delta=100)
    run = trainer(stopping, min_steps=15, max_steps=30, val_check_interval=5)
    module = module_of(data)
    run.fit(module, data)
    assert 15 <= run.global_step < 30
    run.validate(module, data, verbose=False)
    assert capfd.readouterr().err.count("stopping: val/loss has not decreased") == 1
    with pytest.raises(RuntimeError, match="val/loss"):
        trainer(EarlyStopping("val_loss"), max_epochs=1).fit(module_of(data), data)


# -- hyperparameters ---------------------------------------------------------------------


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
    run = trainer(max_epochs=1, limit_train_batches=2)
    run.fit(module, data)
    (config,) = run.lr_scheduler_configs
    assert (config.scheduler.total_steps, config.scheduler.last_epoch) == (2, 2)
    run.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    for name in ("optimizer", "schedule"):  # they are described, and not made of a file
        del content["hyper_parameters"][name]
    torch.save(content, tmp_path / "b.ckpt")
    for name in ("a.ckpt", "b.ckpt"):
        loaded = LanguageModel.load_from_checkpoint(tmp_path / name, weights_only=True)
        assert_same(dict(loaded.state_dict()), dict(module.state_dict()))
        assert loaded.hparams["optimizer"]["name"] == "torch.optim.adam.Adam"
