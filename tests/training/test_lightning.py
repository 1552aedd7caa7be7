"""Lightning's ordinary face: a module, a data module and a plain Trainer, as in a notebook."""

from __future__ import annotations

import functools
import math
import random
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from charrnn import LanguageModel, TextDataModule
from charrnn.errors import InputError
from charrnn.evaluation import compute_stream_loss
from charrnn.training import schedules
from tests.small_runs import assert_same, tensors
from tests.training.notebook import OwnStep, Seen, module_of, rows, trainer


def test_a_notebook(data: TextDataModule) -> None:
    logger = CSVLogger(".", name="", version="")
    run = L.Trainer(
        accelerator="cpu", max_steps=25, logger=logger, log_every_n_steps=5,
        enable_progress_bar=False,
    )  # fmt: skip
    module = module_of(data)
    run.fit(module, data)
    metrics = run.callback_metrics
    assert {"train/loss", "val/loss", "val/bits_per_character", "lr"} <= metrics.keys()
    logged = rows(Path("metrics.csv"))
    trained = {int(row["step"]): float(row["train/loss"]) for row in logged if row["train/loss"]}
    assert list(trained) == [1, 5, 10, 15, 20, 25]
    assert trained[25] == pytest.approx(float(metrics["train/loss"]))
    assert trained[25] < trained[1]
    assert [row["step"] for row in logged if row["val/loss"]] == ["20"]
    # a validation scores the whole split, as one stream
    best = module.best.step
    module.eval()
    for split, call in (("val", run.validate), ("test", run.test)):
        (found,) = call(module, data, verbose=False)
        expected = compute_stream_loss(module.network, data.encoded.get_split(split))
        assert found[f"{split}/loss"] == pytest.approx(expected.loss, rel=1e-6)
        assert found[f"{split}/bits_per_character"] == pytest.approx(expected.loss / math.log(2))
    assert module.best.step == best


@pytest.mark.parametrize(
    ("options", "windows", "validated"),
    [
        ({"max_epochs": 2, "limit_train_batches": 0.25, "limit_val_batches": 0}, [5, 5], []),
        ({"fast_dev_run": True}, [1], [1]),
        # whole groups of windows only; of too short a text there is one group
        ({"max_epochs": 2, "accumulate_grad_batches": 3}, [18, 18], [6, 12]),
        ({"max_epochs": 2, "accumulate_grad_batches": 50}, [1, 1], [1, 2]),
        # the same in each epoch, although they are shuffled
        ({"max_epochs": 3, "overfit_batches": 2}, [2, 2, 2], [2, 4, 6]),
    ],
)
def test_a_plain_trainer_trains_the_windows_and_validates_on_time(
    data: TextDataModule, options: dict[str, Any], windows: list[int], validated: list[int]
) -> None:
    seen, data.shuffle = Seen(), "overfit_batches" in options
    trainer(seen, **options).fit(module_of(data), data)
    assert seen.trained == [(i, i == 0) for count in windows for i in range(count)]
    streams = data.streams.shuffle(data.seed, 0) if data.shuffle else data.streams
    ids = [int(streams.read_windows(i, i + 1)[0, 0]) for i, _ in seen.trained]
    assert seen.first_ids == ids
    assert seen.validated == validated


def step_by_hand(
    module: LanguageModel, data: TextDataModule, windows: list[int], optimizer: Any, group: int = 1
) -> list[float]:
    """Compute the losses of an optimizer of torch in a plain loop, with the state carried."""
    network, losses, state = module.network, [], None
    for number, index in enumerate(windows, 1):
        block = torch.from_numpy(data.streams.read_windows(index, index + 1))
        ids, targets = block[:, :-1], block[:, 1:]
        logits, state = network(ids, state if index else None)
        state = [tuple(part.detach() for part in layer) for layer in state]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        (loss / group).backward()
        if number % group == 0:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("group", [1, 2])
def test_the_state_is_carried_and_the_text_begins_anew_with_each_epoch(
    data: TextDataModule, group: int
) -> None:
    seen, epoch, hand = Seen(), 2 * group, module_of(data)
    module = module_of(data, optimizer=functools.partial(torch.optim.SGD, lr=0.5))
    options = {"limit_train_batches": epoch, "accumulate_grad_batches": group}
    trainer(seen, max_epochs=3, **options).fit(module, data)
    optimizer = torch.optim.SGD(hand.network.parameters(), lr=0.5)
    losses = step_by_hand(hand, data, 3 * list(range(epoch)), optimizer, group)
    assert seen.losses == pytest.approx([loss / group for loss in losses], rel=1e-4)
    for one, other in zip(module.network.parameters(), hand.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_schedule_to_an_end_is_refused_without_one(data: TextDataModule) -> None:
    with pytest.raises(InputError, match="linear asks for total_steps"):
        trainer(max_epochs=-1).fit(module_of(data, schedule=schedules.linear), data)


def test_a_plateau_schedule_falls_with_the_validations(data: TextDataModule) -> None:
    """Check that it counts validations, and is refused where there are none."""
    rates: list[float] = []

    def note(trainer: L.Trainer, *_: Any) -> None:
        rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    every = {"val_check_interval": 3, "check_val_every_n_epoch": None, "max_steps": 9}
    noted = LambdaCallback(on_train_batch_start=note)
    trainer(noted, **every).fit(module_of(data, schedule=PLATEAU), data)
    # the first validation has none before it
    assert rates == [2e-3] * 6 + [1e-3] * 3
    with pytest.raises(InputError, match="ReduceLROnPlateau needs validations"):
        trainer(max_steps=1, limit_val_batches=0).fit(module_of(data, schedule=PLATEAU), data)


class OwnOptimizers(OwnStep):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        falling = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.9)
        stepped = {"scheduler": falling, "interval": "step"}
        return ({"optimizer": optimizer, "lr_scheduler": stepped},)


EPOCHS, WINDOWS = 3, 3
DECAY = {"schedule": functools.partial(schedules.step, decay_every=1)}
ONE_CYCLE = functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1)
# which falls at each validation
PLATEAU = functools.partial(
    torch.optim.lr_scheduler.ReduceLROnPlateau,
    factor=0.5,
    patience=0,
    threshold=100.0,
    threshold_mode="abs",
)
# options of the Trainer, and of the module
CUT_RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "early stopping": ({"stopping": True}, {}),
    "no validation": ({"limit_val_batches": 0}, {}),
    "two validations an epoch": ({"val_check_interval": 2}, {}),
    "every 4 steps": ({"val_check_interval": 4, "check_val_every_n_epoch": None}, {}),
    "groups of windows": ({"accumulate_grad_batches": 2}, {}),
    "cosine": ({}, {"schedule": schedules.cosine}),
    "one cycle": ({}, {"schedule": ONE_CYCLE}),
    "plateau": ({"val_check_interval": 2}, {"schedule": PLATEAU}),
    "step and optimizers of a subclass": ({}, {"kind_of": OwnOptimizers}),
}
LOGGED = ("step", "train/loss", "lr", "val/loss", "val/bits_per_character")


@pytest.mark.parametrize("chains", [1, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CUT_RUNS)
def test_a_run_that_is_cut_twice_is_exact(data: TextDataModule, name: str, chains: int) -> None:
    """Resume at random cuts. A validation and an epoch's end come after the checkpoint."""
    options, of_module = dict(CUT_RUNS[name][0]), {**DECAY, **CUT_RUNS[name][1]}
    group, stops = options.get("accumulate_grad_batches", 1), options.pop("stopping", False)

    def run(folder: Path, start: Path | None = None) -> list[list[str | None]]:
        """Return the steps, losses and learning rates that were logged, each window and later."""
        saved = ModelCheckpoint(
            folder, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False
        )
        # it reads val/loss at an epoch's end, which it has from before a cut there
        stopping = [EarlyStopping("val/loss", patience=9)] if stops else []
        one = trainer(
            saved, *stopping, max_epochs=EPOCHS, logger=CSVLogger(folder, name="", version=""),
            log_every_n_steps=1, limit_train_batches=WINDOWS * group, num_sanity_val_steps=0,
            gradient_clip_val=5.0, **options,
        )  # fmt: skip
        module = module_of(data, dropout=0.3, **of_module)
        one.fit(module, data, ckpt_path=start, weights_only=True)
        one.save_checkpoint(folder / "end.ckpt")
        logged = [[row.get(name) for name in LOGGED] for row in rows(folder / "metrics.csv")]
        return [row for row in logged if any(row[1:])]

    logged, generator = run(Path("whole")), random.Random(name)
    for chain in range(chains):
        folder = Path("whole")
        for cut in sorted(generator.sample(range(1, EPOCHS * WINDOWS), 2)):
            start, folder = folder / f"step={cut}.ckpt", Path(f"{chain}-{cut}")
            trained = [step == f"{cut}" and bool(loss) for step, loss, *_ in logged].index(True)
            assert run(folder, start) == logged[trained + 1 :], folder.name
        assert_same(tensors(folder / "end.ckpt"), tensors(Path("whole/end.ckpt")))
