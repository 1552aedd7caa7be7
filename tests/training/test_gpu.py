"""Training on a CUDA GPU: where there is none, these say so and are skipped."""

from __future__ import annotations

import pytest
import torch

import charrnn
from charrnn.data import cut_streams, open_data
from charrnn.training.datamodule import Windows
from tests.training.conftest import Train, assert_same, metrics, tensors

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here"),
]
GPU = ["trainer=gpu", "model.dropout=0.25"]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_resume_is_exact(train: Train, precision: str) -> None:
    wanted = [*GPU, f"trainer.precision={precision}"]
    whole = train(*wanted, "trainer.max_steps=40", folder="whole")
    parts = train(*wanted, "trainer.max_steps=21", folder="parts")
    train(f"resume={parts}", "trainer.max_steps=40", small=False)
    for part in ("weights", "optimizer", "ranks", "step"):
        assert_same(tensors(parts)[part], tensors(whole)[part], part)


def test_the_loss_is_the_cpus(train: Train) -> None:
    steps = ["trainer.max_steps=30", "model.dropout=0"]
    on_gpu = train("trainer=gpu", *steps, folder="gpu")
    on_cpu = train(*steps, folder="cpu")
    for one, other in zip(metrics(on_gpu), metrics(on_cpu), strict=True):
        for name in ("train/loss", "val/loss"):
            if one[name]:
                assert float(one[name]) == pytest.approx(float(other[name]), abs=1e-3)


def test_what_was_trained_there_is_sampled_without(train: Train) -> None:
    run = train(*GPU, "trainer.max_steps=20")
    assert len(charrnn.load(run / "checkpoints" / "last.ckpt").generate(length=30, seed=1)) == 30


def test_a_corpus_that_fits_is_kept_there_whole(train: Train) -> None:
    run = train(*GPU, "trainer.max_steps=1")
    data = open_data(run.parent / "corpus.h5", run.parent / "corpus.json")
    streams = cut_streams(data, "train", 4, 10)
    windows = Windows(streams, first_step=0, total_steps=50, device=torch.device("cuda"))
    assert windows.resident is not None
    for step, (inputs, targets) in enumerate(windows):
        assert inputs.device.type == "cuda"
        expected = streams.window(step % streams.windows)
        assert (inputs.cpu().numpy() == expected[0]).all()
        assert (targets.cpu().numpy() == expected[1]).all()
