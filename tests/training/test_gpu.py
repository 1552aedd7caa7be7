"""Training on a CUDA GPU: what is kept there, what it computes, and how exactly it resumes.

Everything here is skipped on a machine without one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import charrnn
from charrnn.models import checkpoint
from charrnn.networks.precision import can_train_in_bf16
from tests.small_runs import SMALL, Capture, Train, assert_same, column, read_record, tensors

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here"),
]

GPU = ("trainer=gpu", *SMALL[1:])
AUTO = ("trainer=auto", *(o for o in SMALL[1:] if not o.startswith("trainer.precision")))
STEPS = "trainer.max_steps=50"


def losses(run: Path) -> list[float]:
    return list(column(run, "train/loss").values())


@pytest.fixture
def gpu_run(run_cache: Train) -> Path:
    return run_cache(*GPU, STEPS, "callbacks.checkpoints.keep_every=20", "print_every=1")


def test_the_gpu_is_taken_without_a_flag(train: Train, capfd: Capture) -> None:
    run = train(*AUTO, STEPS, small=False)
    trainer = read_record(run)["trainer"]
    assert trainer["accelerator"] == "gpu"
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    bf16 = native and can_train_in_bf16("lstm", "cuda")
    assert trainer["precision"] == ("bf16-mixed" if bf16 else "32-true")
    assert read_record(run)["tf32"] == (not bf16)
    assert f"device: {torch.cuda.get_device_name(0)}" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_float32_is_the_cpus(run_cache: Train, kind: str) -> None:
    wanted = (STEPS, "print_every=1", f"model={kind}", "data.shuffle=true")
    on_cpu, on_gpu = run_cache(*wanted), run_cache(*GPU, *wanted)
    assert losses(on_gpu) == pytest.approx(losses(on_cpu), abs=1e-3)
    assert losses(on_gpu)[0] == pytest.approx(losses(on_cpu)[0], abs=1e-5)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "32-true"])
def test_half_precision_learns_as_well(run_cache: Train, gpu_run: Path, precision: str) -> None:
    tf32 = ("tf32=true",) if precision == "32-true" else ()
    if precision == "bf16-mixed" and not can_train_in_bf16("lstm", "cuda"):
        pytest.skip("torch has no bf16 for this GPU")
    half = run_cache(*GPU, STEPS, f"trainer.precision={precision}", *tf32)
    # a GradScaler's first steps may be skipped ones, until its scale fits
    assert losses(half)[-1] == pytest.approx(losses(gpu_run)[-1], abs=0.3)
    assert losses(half)[-1] < losses(half)[0] - 0.1
    weights = tensors(half)["weights"].values()
    assert all(weight.dtype == torch.float32 for weight in weights)


CASES = {
    "gru, bf16": ["model=gru", "trainer.precision=bf16-mixed"],
    "lstm, shuffled": ["data.shuffle=true"],
    "lstm, with a GradScaler": ["trainer.precision=16-mixed"],
    "batchnorm, norm clipping": ["model.batchnorm=true", "trainer.gradient_clip_algorithm=norm"],
}


@pytest.mark.parametrize("case", CASES)
def test_a_resume_on_a_gpu_equals_the_uninterrupted_run(train: Train, case: str) -> None:
    if "bf16" in case and not can_train_in_bf16("gru", "cuda"):
        pytest.skip("torch has no bf16 for this GPU")
    wanted = (*GPU, *CASES[case], "model.dropout=0.25", "validate_every=11")
    whole = train(*wanted, "trainer.max_steps=40", small=False, folder="whole")
    parts = train(*wanted, "trainer.max_steps=9", small=False, folder="parts")
    for stop in (20, 21, 40):  # on an epoch's end, beyond it, and off it
        train(f"resume={parts}", f"trainer.max_steps={stop}", small=False)
    for part in ("weights", "optimizer", "ranks", "step"):
        assert_same(tensors(parts)[part], tensors(whole)[part], part)
    runs = (parts, whole)  # and the scaler's entry, by Lightning's name
    scalers = [checkpoint.read(r / "checkpoints" / "last.ckpt").get("MixedPrecision") for r in runs]
    assert_same(*scalers)
    assert ("GradScaler" in case) == bool(scalers[0])


@pytest.mark.parametrize("counts", ["none", "auto"])
def test_a_seed_gives_the_text_of_the_cpu(gpu_run: Path, counts: str) -> None:
    content = checkpoint.read(gpu_run / "checkpoints" / "last.ckpt")
    assert {weight.device.type for weight in content["state_dict"].values()} == {"cpu"}
    model = charrnn.load(gpu_run)
    places = ("cuda", "cpu")
    on_gpu, on_cpu = (model.generate(60, seed=2, device=name, counts=counts) for name in places)
    assert on_gpu == on_cpu
    on_gpu, on_cpu = (model.score("a text " * 2000, counts, device=name) for name in places)
    assert on_gpu == pytest.approx(on_cpu, abs=1e-5)


def test_a_run_may_move_between_gpu_and_cpu(train: Train, run_cache: Train, gpu_run: Path) -> None:
    whole = run_cache(STEPS, "callbacks.checkpoints.keep_every=20", "print_every=1")
    for run, there in ((whole, "gpu"), (gpu_run, "cpu")):
        point = run / "checkpoints" / "step-20.ckpt"
        words = [f"resume={point}", f"trainer.accelerator={there}", f"hydra.run.dir=to-{there}"]
        train(*words, small=False)
        moved = Path(f"to-{there}")
        assert read_record(moved)["trainer"]["accelerator"] == there
        assert losses(moved) == pytest.approx(losses(whole)[20:], abs=1e-3)
