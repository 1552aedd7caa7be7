"""Lightning's ordinary face: a module, a data module and a plain Trainer, as in a notebook."""

from __future__ import annotations

import csv
import functools
import logging
import random
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

import charrnn
from charrnn import LanguageModel, TextDataModule
from charrnn.counts import best_context
from charrnn.errors import InputError, RunError
from charrnn.evaluation import stream_loss
from charrnn.training import CharacterCounts, TrainingLog, schedules
from charrnn.training.callbacks import Samples
from charrnn.training.progress_bar import Progress
from tests.small_runs import assert_same

N, T = 4, 10
WINDOWS = 20


@pytest.fixture(autouse=True)
def quiet_on_one_thread() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch.set_num_threads(threads)
    logger.setLevel(before)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A text of 20 windows an epoch; what is written goes into this folder."""
    monkeypatch.chdir(tmp_path)
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "Zoë", "run.\n"]
    generator = random.Random(1)
    text = " ".join(generator.choice(words) for _ in range(270))
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    return str(tmp_path / "corpus.txt")


@pytest.fixture
def data(text: str) -> TextDataModule:
    data = TextDataModule(text, batch_size=N, seq_length=T, shuffle=False)
    data.setup()
    assert data.streams.windows == WINDOWS
    return data


def module_of(data: TextDataModule, **options: Any) -> LanguageModel:
    torch.manual_seed(1)
    sizes = {"hidden_size": 8, "embedding_size": 4, "num_layers": 1}
    return LanguageModel(data.vocabulary, **{**sizes, **options})


def trainer(*callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    if any(isinstance(c, ModelCheckpoint) for c in callbacks):
        del quiet["enable_checkpointing"]
    return L.Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        **{**quiet, "enable_model_summary": False, "log_every_n_steps": 5, **options},
    )


class Seen(L.Callback):
    """What a run does: windows trained (their place, whether they begin the text), validations."""

    def __init__(self) -> None:
        self.trained: list[tuple[int, bool]] = []
        self.first_ids: list[int] = []
        self.losses: list[float] = []
        self.carried: list[bool] = []
        self.validated: list[int] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.trained.append((batch_idx, bool(batch[2])))
        self.first_ids.append(int(batch[0][0, 0]))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.validated.append(trainer.global_step)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# -- training and its numbers ------------------------------------------------------------


def test_a_notebook(data: TextDataModule, tmp_path: Path) -> None:
    """Nothing of charrnn's but the two: Lightning's defaults, and Lightning's own logger."""
    logger = CSVLogger(tmp_path, name="", version="")
    run = L.Trainer(
        accelerator="cpu", max_steps=25, logger=logger, log_every_n_steps=5,
        enable_progress_bar=False,
    )  # fmt: skip
    module = module_of(data)
    run.fit(module, data)
    assert run.global_step == 25
    metrics = run.callback_metrics
    assert {"train/loss", "val/loss", "val/bits_per_character", "lr"} <= metrics.keys()
    assert 0 < metrics["val/loss"] < 4
    logged = rows(tmp_path / "metrics.csv")
    trained = {int(row["step"]): float(row["train/loss"]) for row in logged if row["train/loss"]}
    assert list(trained) == [1, 5, 10, 15, 20, 25]
    assert trained[25] == pytest.approx(float(metrics["train/loss"]))
    assert trained[25] < trained[1]
    validated = {int(row["step"]): float(row["val/loss"]) for row in logged if row["val/loss"]}
    assert list(validated) == [20]
    # a validation scores the whole split, as one stream
    module.eval()
    assert run.validate(module, data, verbose=False)[0]["val/loss"] == pytest.approx(
        stream_loss(module.network, data.encoded.unread("val")).loss, rel=1e-6
    )


def test_an_epoch_is_every_window_once(data: TextDataModule) -> None:
    seen = Seen()
    run = trainer(seen, max_epochs=1)
    run.fit(module_of(data), data)
    assert run.global_step == WINDOWS
    assert seen.trained == [(i, i == 0) for i in range(WINDOWS)]
    windows = [data.streams.window(i)[0] for i in range(WINDOWS)]
    assert seen.first_ids == [int(ids[0, 0]) for ids in windows]
    assert seen.validated == [WINDOWS]


def losses_by_hand(module: LanguageModel, data: TextDataModule, windows: list[int]) -> list[float]:
    """Losses of an optimizer of torch's own in a loop of one's own, the state carried."""
    network, losses, state = module.network, [], None
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for index in windows:
        ids, targets = map(torch.from_numpy, data.streams.window(index))
        logits, state = network(ids, state if index else None)
        state = [tuple(part.detach() for part in layer) for layer in state]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_part_of_an_epoch(data: TextDataModule) -> None:
    """The state is carried, and the text begins anew with each epoch."""
    seen = Seen()
    run = trainer(seen, max_epochs=3, limit_train_batches=3)
    run.fit(module_of(data), data)
    assert seen.trained == 3 * [(0, True), (1, False), (2, False)]
    assert seen.losses == pytest.approx(
        losses_by_hand(module_of(data), data, 3 * [0, 1, 2]), rel=1e-4
    )


def test_fast_dev_run(data: TextDataModule) -> None:
    seen = Seen()
    run = trainer(seen, fast_dev_run=True)
    run.fit(module_of(data), data)
    assert run.global_step == 1
    assert seen.trained == [(0, True)]
    assert seen.validated == [1]
    assert "val/loss" in run.callback_metrics


def test_overfit_batches(data: TextDataModule) -> None:
    seen = Seen()
    trainer(seen, max_epochs=3, overfit_batches=2).fit(module_of(data), data)
    assert seen.trained == 3 * [(0, True), (1, False)]


@pytest.mark.parametrize(("group", "steps"), [(2, 10), (3, 6), (50, 1)])
def test_accumulated_gradients(data: TextDataModule, group: int, steps: int) -> None:
    """Whole groups of windows only; of too short a text there is one group."""
    seen = Seen()
    run = trainer(seen, max_epochs=2, accumulate_grad_batches=group)
    run.fit(module_of(data), data)
    assert run.global_step == 2 * steps
    epoch = min(WINDOWS, steps * group) if group <= WINDOWS else 1
    assert seen.trained == 2 * [(i, i == 0) for i in range(epoch)]
    assert seen.validated == [steps, 2 * steps]


def test_accumulated_gradients_are_those_of_all_their_windows(data: TextDataModule) -> None:
    plain = functools.partial(torch.optim.SGD, lr=1.0)
    module, reference = module_of(data, optimizer=plain), module_of(data)
    trainer(max_steps=1, accumulate_grad_batches=2).fit(module, data)
    network, state = reference.network, None
    for index in range(2):
        ids, targets = map(torch.from_numpy, data.streams.window(index))
        logits, state = network(ids, state)
        state = [tuple(part.detach() for part in layer) for layer in state]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        (loss / 2).backward()
    for after, before in zip(module.network.parameters(), network.parameters(), strict=True):
        moved = before if before.grad is None else before - before.grad
        torch.testing.assert_close(after, moved, rtol=1e-5, atol=1e-6)


class Breaks(L.Callback):
    """Makes a weight no number after step 5."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *rest: Any) -> None:
        if trainer.global_step == 5:
            torch.nn.init.constant_(next(pl_module.parameters()), torch.nan)


def test_divergence_is_told_before_a_validation(data: TextDataModule, tmp_path: Path) -> None:
    options = {"val_check_interval": 7, "check_val_every_n_epoch": None, "max_steps": 30}
    run = trainer(Breaks(), Samples(), log_every_n_steps=100, default_root_dir=tmp_path, **options)
    with pytest.raises(RunError, match="training diverged: the loss or a gradient of step 6 "):
        run.fit(module_of(data), data)


@pytest.mark.parametrize(
    ("bound", "algorithm"), [(0.01, None), (0.01, "norm"), (0.01, "value"), (0, None)]
)
def test_gradients_are_clipped_as_lightning_clips_them(
    data: TextDataModule, bound: float, algorithm: str | None
) -> None:
    def gradient(**options: Any) -> torch.Tensor:
        """What a step of plain gradient descent took, in one vector."""
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


@pytest.mark.parametrize("log_first", [True, False])
def test_counting_is_no_training_time_in_any_order_of_callbacks(
    data: TextDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_first: bool
) -> None:
    """By a clock that goes on a second in each step, and a hundred while the text is counted."""
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    class Second(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            nonlocal now
            now += 1

    def counting(*arguments: Any) -> Any:
        nonlocal now
        now += 100
        return best_context(*arguments)

    monkeypatch.setattr("charrnn.training.counting.best_context", counting)
    counts = CharacterCounts(context=2)
    logger = CSVLogger(tmp_path, name="", version="")
    own = [TrainingLog(), counts] if log_first else [counts, TrainingLog()]
    trainer(
        Second(), *own, max_steps=12, logger=logger, num_sanity_val_steps=0, val_check_interval=7
    ).fit(module_of(data), data)
    assert now > 100
    speeds = [row["characters_per_second"] for row in rows(tmp_path / "metrics.csv")]
    assert {float(speed) for speed in speeds if speed} == {float(N * T)}


@pytest.mark.parametrize("limit", [{"max_epochs": -1}, {"max_time": "00:01:00:00"}])
def test_a_training_without_a_known_end(
    data: TextDataModule, capfd: pytest.CaptureFixture[str], limit: dict[str, Any]
) -> None:
    class Stops(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
            trainer.should_stop = trainer.global_step >= 6

    own = {**limit, "enable_progress_bar": True, "limit_val_batches": 0}
    trainer(TrainingLog(), Progress(), Stops(), **own).fit(module_of(data), data)
    said = capfd.readouterr().err
    assert "epoch 0.05, step 1, loss" in said
    assert "epoch 0.25, step 5, loss" in said
    module = module_of(data, schedule=schedules.linear)
    with pytest.raises(InputError, match="linear asks for total_steps"):
        trainer(Stops(), **limit).fit(module, data)


def test_only_the_first_and_the_last_step_are_logged(data: TextDataModule, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    trainer(
        TrainingLog(), Progress(), max_steps=9, log_every_n_steps=0, logger=logger,
        enable_progress_bar=True,
    ).fit(module_of(data), data)  # fmt: skip
    found = rows(tmp_path / "metrics.csv")
    for name in ("train/loss", "grad_norm"):
        assert [int(row["step"]) for row in found if row.get(name)] == [1, 9]


# -- what else Lightning has -------------------------------------------------------------


def test_validate_and_test(data: TextDataModule) -> None:
    module, run = module_of(data), trainer(max_steps=1)
    for split, call in (("val", run.validate), ("test", run.test)):
        (found,) = call(module, data, verbose=False)
        expected = stream_loss(module.network, data.encoded.unread(split))
        assert found[f"{split}/loss"] == pytest.approx(expected.loss)
        assert found[f"{split}/bits_per_character"] == pytest.approx(expected.bits_per_character)
    assert module.best.step == 0


def test_callbacks_of_lightnings(data: TextDataModule, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path / "logs", name="", version="")
    best = ModelCheckpoint(tmp_path / "best", monitor="val/loss", save_top_k=1)
    stopping = EarlyStopping("val/loss", patience=1, min_delta=100.0)
    run = trainer(
        best, stopping, LearningRateMonitor("step"), max_epochs=9, logger=logger,
    )  # fmt: skip
    module = module_of(data, schedule=functools.partial(schedules.step, decay_every=1))
    run.fit(module, data)
    # the second validation was not 100 nats lower
    assert run.global_step == 2 * WINDOWS
    assert best.best_model_score == pytest.approx(module.best.loss)
    rates = [float(r["lr-Adam"]) for r in rows(tmp_path / "logs" / "metrics.csv") if r["lr-Adam"]]
    assert rates[0] == 2e-3
    assert rates[-1] == 1e-3


def test_averaged_weights(data: TextDataModule) -> None:
    """StochasticWeightAveraging puts the mean of its epochs' weights into the module."""
    run = trainer(
        StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1, annealing_epochs=1), max_epochs=4
    )
    module = module_of(data)
    run.fit(module, data)
    assert all(torch.isfinite(p).all() for p in module.network.parameters())
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2)


def test_lightnings_bar(data: TextDataModule, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(TQDMProgressBar(), max_steps=25, enable_progress_bar=True).fit(module_of(data), data)
    out, err = capsys.readouterr()
    assert "train/loss=" in out + err


@pytest.mark.slow
@pytest.mark.parametrize("how", ["assigned", "in place", "whole"])
def test_a_compiled_network(data: TextDataModule, tmp_path: Path, how: str) -> None:
    def compiled() -> LanguageModel:
        module = module_of(data)
        if how == "assigned":
            module.network = torch.compile(module.network)
        elif how == "in place":
            module.network.compile()
        return torch.compile(module) if how == "whole" else module  # type: ignore[no-any-return]

    module, plain = compiled(), module_of(data)
    saved = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=2)
    trainer(saved, max_steps=4, limit_val_batches=0).fit(module, data)
    trainer(max_steps=4, limit_val_batches=0).fit(plain, data)
    weights, expected = (each.to_model().trained.weights for each in (module, plain))
    assert weights.keys() == expected.keys()
    for name in weights:
        assert weights[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-5)
    # with or without, each goes on from what the other saved
    for again in (compiled(), module_of(data)):
        start = tmp_path / "step=2.ckpt"
        trainer(max_steps=4, limit_val_batches=0).fit(again, data, ckpt_path=start)
        weights = again.to_model().trained.weights
        for name in weights:
            assert weights[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-5)
    loaded = LanguageModel.load_from_checkpoint(tmp_path / "step=4.ckpt").to_model()
    assert charrnn.load(tmp_path / "step=4.ckpt").generate(20, seed=1) == loaded.generate(
        20, seed=1
    )


# -- loaders of one's own ----------------------------------------------------------------


def pairs(data: TextDataModule, split: str) -> DataLoader[Any]:
    ids = torch.from_numpy(data.encoded.unread(split)[0 : 10 * T + 1])
    windows = [(ids[i : i + T], ids[i + 1 : i + T + 1]) for i in range(0, 10 * T, T)]
    return DataLoader(windows, batch_size=5)  # type: ignore[arg-type]


def test_loaders_of_ones_own(data: TextDataModule) -> None:
    module = module_of(data)
    run = trainer(max_epochs=2)
    run.fit(module, pairs(data, "train"), pairs(data, "val"))
    assert run.global_step == 4
    network = module.network.eval()
    total = 0.0
    for ids, targets in pairs(data, "val"):
        logits, _ = network(ids)
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="sum"
        ).item()
    loss = total / (10 * T)
    assert float(run.callback_metrics["val/loss"]) == pytest.approx(loss, rel=1e-5)
    assert run.test(module, pairs(data, "val"), verbose=False)[0]["test/loss"] == pytest.approx(
        loss, rel=1e-5
    )


# -- checkpoints -------------------------------------------------------------------------


def test_a_checkpoint_is_all_that_a_model_needs(data: TextDataModule, tmp_path: Path) -> None:
    module = module_of(data, kind="gru", dropout=0.3, num_layers=2)
    run = trainer(max_steps=5)
    run.fit(module, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    module.eval()
    loaded = LanguageModel.load_from_checkpoint(tmp_path / "a.ckpt").eval()
    ids = torch.randint(len(data.vocabulary), (2, 7))
    assert torch.equal(loaded(ids)[0], module(ids)[0])
    assert loaded.vocabulary == data.vocabulary
    model = charrnn.load(tmp_path / "a.ckpt")
    sampled = model.generate(40, seed=3)
    assert len(sampled) == 40
    assert sampled == module.to_model().generate(40, seed=3)
    assert sampled == loaded.to_model().generate(40, seed=3)
    assert model.trained.facts["step"] == 5


class Every(L.Callback):
    """Counts in which order things come, over the parts of a run."""

    def __init__(self, log: list[Any]) -> None:
        self.events = log

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.events.append(("window", trainer.global_step, batch_idx, bool(batch[2])))

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        loss = float(trainer.callback_metrics["val/loss"])
        self.events.append(("validation", trainer.global_step, loss))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.events.append(("epoch", trainer.current_epoch))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.events.append(("epoch ends", trainer.current_epoch))


def state_of(path: Path) -> dict[str, Any]:
    """All that is in a checkpoint, but the paths of Lightning's `ModelCheckpoint`."""
    content: dict[str, Any] = torch.load(path, weights_only=True)
    content["callbacks"] = {
        name: state
        for name, state in content["callbacks"].items()
        if not name.startswith("ModelCheckpoint")
    }
    return content


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"limit_val_batches": 0},
        {"val_check_interval": 2},
        {"val_check_interval": 3, "check_val_every_n_epoch": None},
        {"accumulate_grad_batches": 2},
        {"schedule": schedules.cosine},
        {"schedule": functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1)},
        {"schedule": None},
        {"kind": "gru", "num_layers": 2},
    ],
    ids=lambda how: "-".join(map(str, how)) or "plain",
)
def test_a_run_cut_anywhere_goes_on_bit_for_bit(
    data: TextDataModule, tmp_path: Path, how: dict[str, Any]
) -> None:
    """Two epochs of five windows, with dropout, from the checkpoint of every step."""
    how = dict(how)
    kind, num_layers = how.pop("kind", "lstm"), how.pop("num_layers", 1)
    schedule = how.pop("schedule", functools.partial(schedules.step, decay_every=1))
    group = how.get("accumulate_grad_batches", 1)
    epoch = 5 // group * group if group == 1 else 4

    def run(folder: Path, log: list[Any], start: Path | None = None) -> None:
        saved = ModelCheckpoint(
            folder, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False
        )
        one = trainer(
            saved, Every(log), max_epochs=2, limit_train_batches=epoch, num_sanity_val_steps=0,
            gradient_clip_val=5.0, **how,
        )  # fmt: skip
        module = module_of(data, dropout=0.3, schedule=schedule, kind=kind, num_layers=num_layers)
        one.fit(module, data, ckpt_path=start, weights_only=True)
        one.save_checkpoint(folder / "end.ckpt")

    whole: list[Any] = []
    run(tmp_path / "whole", whole)
    steps = 2 * epoch // group
    expected = state_of(tmp_path / "whole" / "end.ckpt")
    assert expected["global_step"] == steps
    for step in range(1, steps):
        log: list[Any] = []
        folder = tmp_path / str(step)
        run(folder, log, tmp_path / "whole" / f"step={step}.ckpt")
        # in the midst of a group of windows ModelCheckpoint may save a step once more
        for path in {*folder.glob("*.ckpt")} - {folder / f"step={step}.ckpt"}:
            where = f"from {step}, {path.name}: "
            assert_same(state_of(path), state_of(tmp_path / "whole" / path.name), where)
        # the checkpoint is of before a validation that is due there, and before the epoch's end
        begun = max(i for i, w in enumerate(whole) if w[:2] == ("window", step - 1))
        assert log == whole[begun + 1 :], step


@pytest.mark.parametrize("how", ["save_checkpoint", "ModelCheckpoint"])
def test_a_fit_that_ended_goes_on_bit_for_bit(
    data: TextDataModule, tmp_path: Path, how: str
) -> None:
    """More steps for a run that ended with max_steps: within its epoch, not with the next one."""

    def run(folder: Path, steps: int, start: Path | None = None) -> tuple[Path, Seen]:
        seen = Seen()
        saved = [ModelCheckpoint(folder, "end")] if how == "ModelCheckpoint" else []
        one = trainer(seen, *saved, max_steps=steps, limit_train_batches=5)
        module = module_of(
            data, dropout=0.3, schedule=functools.partial(schedules.step, decay_every=1)
        )
        one.fit(module, data, ckpt_path=start, weights_only=True)
        if not saved:
            one.save_checkpoint(folder / "end.ckpt")
        return folder / "end.ckpt", seen

    end, whole = run(tmp_path / "whole", 13)
    assert torch.load(end, weights_only=True)["epoch"] == (3 if how == "save_checkpoint" else 2)
    for step in (1, 4, 5, 6, 10, 12):  # within an epoch, on its end and beyond it
        start, first = run(tmp_path / f"{step}", step)
        assert torch.load(start, weights_only=True)["global_step"] == step
        again, rest = run(tmp_path / f"{step}-again", 13, start)
        assert first.trained + rest.trained == whole.trained
        assert first.validated + rest.validated == whole.validated
        assert_same(state_of(again), state_of(end))


# -- train/loss for whoever reads it -------------------------------------------------------


class Reads(L.Callback):
    """Compares what is to be read with the loss of the step, after steps and validations."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.read: list[tuple[float, float]] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))
        self.read.append((float(trainer.callback_metrics["train/loss"]), self.losses[-1]))

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.read.append((float(trainer.callback_metrics["train/loss"]), self.losses[-1]))


def test_train_loss_is_the_current_one(data: TextDataModule, tmp_path: Path) -> None:
    reads = Reads()
    scored = ModelCheckpoint(
        tmp_path, "{step}", monitor="train/loss", every_n_train_steps=20, save_top_k=-1
    )
    often = {"val_check_interval": 5, "check_val_every_n_epoch": None}
    stopping = EarlyStopping("train/loss", patience=100)
    module = module_of(data, optimizer=functools.partial(torch.optim.Adam, lr=1e-2))
    run = trainer(
        reads, scored, stopping, max_steps=41, log_every_n_steps=1000, num_sanity_val_steps=0,
        **often,
    )  # fmt: skip
    run.fit(module, data)
    stale = [pair for pair in reads.read[1:] if pair[0] != pytest.approx(pair[1])]
    assert stale == []
    assert float(stopping.best_score) == pytest.approx(min(reads.losses[4::5]))
    scores = {path: float(score) for path, score in scored.best_k_models.items()}
    steps = {20: str(tmp_path / "step=20.ckpt"), 40: str(tmp_path / "step=40.ckpt")}
    assert scores == pytest.approx({steps[n]: reads.losses[n - 1] for n in steps})


def test_a_resume_at_an_epochs_end_has_the_metrics_of_before(
    data: TextDataModule, tmp_path: Path
) -> None:
    """Lightning's EarlyStopping reads val/loss there, which it has from before the cut."""

    def run(folder: Path, start: Path | None = None) -> Path:
        saved = ModelCheckpoint(
            folder, "{step}", save_top_k=-1, every_n_train_steps=5, save_on_train_epoch_end=False
        )
        one = trainer(
            saved, EarlyStopping("val/loss", patience=9), EarlyStopping("train/loss", patience=9),
            max_epochs=3, limit_train_batches=5, num_sanity_val_steps=0,
        )  # fmt: skip
        one.fit(module_of(data), data, ckpt_path=start, weights_only=True)
        one.save_checkpoint(folder / "end.ckpt")
        return folder / "end.ckpt"

    end = run(tmp_path / "whole")
    again = run(tmp_path / "again", tmp_path / "whole" / "step=5.ckpt")
    assert_same(state_of(again), state_of(end))
