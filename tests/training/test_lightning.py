"""Lightning's ordinary face: a module, a data module and a plain Trainer, as in a notebook."""

from __future__ import annotations

import functools
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
from charrnn.evaluation.stream_losses import compute_stream_loss
from charrnn.training import schedules
from charrnn.training.progress_bar import Progress
from tests.small_runs import assert_same, tensors
from tests.training.notebook import OwnStep, Seen, module_of, rows, trainer

# -- training and its numbers ------------------------------------------------------------


def test_a_notebook(data: TextDataModule, tmp_path: Path) -> None:
    """Fit the two with Lightning's defaults and its logger."""
    logger = CSVLogger(tmp_path, name="", version="")
    run = L.Trainer(
        accelerator="cpu", max_steps=25, logger=logger, log_every_n_steps=5,
        enable_progress_bar=False,
    )  # fmt: skip
    module = module_of(data)
    run.fit(module, data)
    metrics = run.callback_metrics
    assert {"train/loss", "val/loss", "val/bits_per_character", "lr"} <= metrics.keys()
    logged = rows(tmp_path / "metrics.csv")
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
        assert found[f"{split}/bits_per_character"] == pytest.approx(expected.bits_per_character)
    assert module.best.step == best


@pytest.mark.parametrize(
    ("options", "windows", "validated"),
    [
        ({"max_epochs": 2, "limit_train_batches": 0.25, "limit_val_batches": 0}, [5, 5], []),
        ({"fast_dev_run": True}, [1], [1]),
        # whole groups of windows only; of too short a text there is one group
        ({"max_epochs": 2, "accumulate_grad_batches": 3}, [18, 18], [6, 12]),
        ({"max_epochs": 2, "accumulate_grad_batches": 50}, [1, 1], [1, 2]),
    ],
)
def test_a_plain_trainer_trains_the_windows_and_validates_on_time(
    data: TextDataModule, options: dict[str, Any], windows: list[int], validated: list[int]
) -> None:
    seen = Seen()
    trainer(seen, **options).fit(module_of(data), data)
    assert seen.trained == [(i, i == 0) for count in windows for i in range(count)]
    ids = [int(data.streams.read_windows(i, i + 1)[0, 0]) for i, _ in seen.trained]
    assert seen.first_ids == ids
    assert seen.validated == validated


def test_overfit_batches_are_the_same_windows_in_each_epoch(data: TextDataModule) -> None:
    data.shuffle, seen = True, Seen()
    trainer(seen, max_epochs=3, overfit_batches=2).fit(module_of(data), data)
    assert seen.first_ids == 3 * seen.first_ids[:2]
    assert seen.validated == [2, 4, 6]


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


@pytest.mark.parametrize(("bound", "algorithm"), [(0.01, "norm"), (0.01, "value"), (0, None)])
def test_gradients_are_clipped_as_lightning_clips_them(
    data: TextDataModule, bound: float, algorithm: str | None
) -> None:
    def gradient(**options: Any) -> torch.Tensor:
        """Return the gradient of a step of plain gradient descent, in one vector."""
        module = module_of(data, optimizer=functools.partial(torch.optim.SGD, lr=1.0))
        before = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
        trainer(max_steps=1, limit_val_batches=0, **options).fit(module, data)
        return before - torch.nn.utils.parameters_to_vector(module.parameters()).detach()

    whole = gradient()
    assert whole.norm() > 0.1
    expected = whole
    if bound:
        by_value = algorithm == "value"
        expected = whole.clamp(-bound, bound) if by_value else whole * bound / whole.norm()
    clipped = gradient(gradient_clip_val=bound, gradient_clip_algorithm=algorithm)
    torch.testing.assert_close(clipped, expected, rtol=1e-3, atol=1e-6)


class Stops(L.Callback):
    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= 6


def test_a_training_without_a_known_end(
    data: TextDataModule, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"max_epochs": -1, "limit_val_batches": 0}
    trainer(Progress(), Stops(), **options, enable_progress_bar=True).fit(module_of(data), data)
    assert "epoch 0.25, step 5, loss" in capfd.readouterr().err
    module = module_of(data, schedule=schedules.linear)
    with pytest.raises(InputError, match="linear asks for total_steps"):
        trainer(Stops(), **options).fit(module, data)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_network_trains_as_a_plain_one(data: TextDataModule, backend: str) -> None:
    plain, module = module_of(data), module_of(data)
    module.network.compile(backend=backend)
    losses = []
    for each in (plain, module, torch.compile(module_of(data), backend=backend)):
        run = trainer(max_steps=4, val_check_interval=4)
        run.fit(each, data)
        losses.append(float(run.callback_metrics["val/loss"]))
        weights = each.to_model().trained.weights
        for name, expected in plain.to_model().trained.weights.items():
            assert weights[name] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert losses[1:] == pytest.approx(2 * losses[:1], rel=1e-5)


# -- checkpoints -------------------------------------------------------------------------


class OwnOptimizers(OwnStep):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        falling = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.9)
        stepped = {"scheduler": falling, "interval": "step"}
        return ({"optimizer": optimizer, "lr_scheduler": stepped},)


EPOCHS, WINDOWS = 3, 3
CUT_RUNS: dict[str, dict[str, Any]] = {
    "early stopping": {"stopping": True},
    "no validation": {"limit_val_batches": 0},
    "two validations an epoch": {"val_check_interval": 2},
    "a validation every 4 steps": {"val_check_interval": 4, "check_val_every_n_epoch": None},
    "groups of windows": {"accumulate_grad_batches": 2},
    "cosine": {"schedule": schedules.cosine},
    "one cycle": {"schedule": functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1)},
    "no schedule": {"schedule": None},
    "gru": {"kind": "gru", "num_layers": 2},
    "step and optimizers of a subclass": {"kind_of": OwnOptimizers},
}
LOGGED = ("step", "train/loss", "lr", "val/loss", "val/bits_per_character")


def record_events(log: list[Any]) -> LambdaCallback:
    return LambdaCallback(
        on_train_batch_start=lambda trainer, _, batch, index: log.append(
            ("window", trainer.global_step, index, bool(batch[2]))
        ),
        on_validation_end=lambda trainer, _: log.append(("validation", trainer.global_step)),
        on_train_epoch_start=lambda trainer, _: log.append(("epoch", trainer.current_epoch)),
        on_train_epoch_end=lambda trainer, _: log.append(("epoch ends", trainer.current_epoch)),
    )


@pytest.mark.parametrize("chains", [1, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CUT_RUNS)
def test_a_run_that_is_cut_twice_goes_on_bit_for_bit(
    data: TextDataModule, tmp_path: Path, name: str, chains: int
) -> None:
    """Resume at random cuts, half of which are at the end of an epoch."""
    options, group = dict(CUT_RUNS[name]), CUT_RUNS[name].get("accumulate_grad_batches", 1)
    of_module = {
        key: options.pop(key) for key in ("kind", "num_layers", "kind_of") if key in options
    }
    schedule = options.pop("schedule", functools.partial(schedules.step, decay_every=1))
    # it reads val/loss at an epoch's end, which it has from before a cut there
    stopping = [EarlyStopping("val/loss", patience=9)] if options.pop("stopping", False) else []

    def run(folder: Path, start: Path | None = None) -> tuple[list[Any], list[Any]]:
        """Return the events, then the steps, losses and learning rates that were logged."""
        log: list[Any] = []
        logger = CSVLogger(folder, name="", version="")
        saved = ModelCheckpoint(
            folder, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False
        )
        one = trainer(
            saved, record_events(log), *stopping, max_epochs=EPOCHS, logger=logger,
            log_every_n_steps=1, limit_train_batches=WINDOWS * group, num_sanity_val_steps=0,
            gradient_clip_val=5.0, **options,
        )  # fmt: skip
        module = module_of(data, dropout=0.3, schedule=schedule, **of_module)
        one.fit(module, data, ckpt_path=start, weights_only=True)
        one.save_checkpoint(folder / "end.ckpt")
        logged = [[row.get(name) for name in LOGGED] for row in rows(folder / "metrics.csv")]
        return log, [row for row in logged if any(row[1:])]

    events, logged = run(tmp_path / "whole")
    generator = random.Random(name)
    for chain in range(chains):
        folder = tmp_path / "whole"
        for cut in sorted(generator.sample(range(1, EPOCHS * WINDOWS), 2)):
            start, folder = folder / f"step={cut}.ckpt", tmp_path / f"{chain}-{cut}"
            # a validation that is due at this step, and the epoch's end, come after the checkpoint
            begun = max(i for i, event in enumerate(events) if event[:2] == ("window", cut - 1))
            trained = next(
                i for i, (step, loss, *_) in enumerate(logged) if loss and step == f"{cut}"
            )
            expected = events[begun + 1 :], logged[trained + 1 :]
            assert run(folder, start) == expected, folder.name
        assert_same(tensors(folder / "end.ckpt"), tensors(tmp_path / "whole" / "end.ckpt"))


@pytest.mark.parametrize(
    ("limit", "ends"), [("max_steps", (1, 5, 6, 10, 13)), ("max_epochs", (1, 2, 3))]
)
def test_fits_that_go_on_from_one_another_are_one_fit(
    data: TextDataModule, tmp_path: Path, limit: str, ends: tuple[int, ...]
) -> None:
    """Check that they end within an epoch, at its end and beyond it; then nothing is trained."""

    def run(name: str, end: int, start: Path | None = None) -> tuple[Path, Seen]:
        seen = Seen()
        one = trainer(seen, limit_train_batches=5, **{limit: end})
        schedule = functools.partial(schedules.step, decay_every=1)
        one.fit(module_of(data, dropout=0.3, schedule=schedule), data, ckpt_path=start,
                weights_only=True)  # fmt: skip
        one.save_checkpoint(path := tmp_path / f"{name}.ckpt")
        return path, seen

    whole, expected = run("whole", ends[-1])
    path, trained, validated = None, [], []
    for end in (*ends, ends[-1]):
        path, seen = run(f"to-{end}", end, path)
        trained += seen.trained
        validated += seen.validated
    assert (trained, validated) == (expected.trained, expected.validated)
    assert_same(tensors(path), tensors(whole))
