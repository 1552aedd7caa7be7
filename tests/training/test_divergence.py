"""A validation loss that is absurd: no success, and never the best."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.models import checkpoint
from tests.small_runs import Train

QUICK = ("model.num_layers=1", "callbacks.samples.length=0", "logger=csv", "data.seq_length=40")


def test_it_ends_the_run(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    absurd = ("optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=5")
    run = train(*QUICK, *absurd, "validate_every=2", "trainer.max_steps=20", code=1)
    err = capfd.readouterr().err
    assert err.splitlines()[-1].count("training diverged") == 1
    assert "Traceback" not in err
    assert "the best so far" not in err
    assert not (run / "checkpoints" / "best.ckpt").exists()
    assert not (run / "model.safetensors").exists()


def test_one_such_validation_is_no_success_either(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor is the resume of such a run, which is at its end."""
    absurd = ("optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=5")
    run = train(*QUICK, *absurd, "validate_every=3", "trainer.max_steps=3", code=1)
    first = capfd.readouterr().err
    assert "training diverged: the first validation loss was " in first
    assert not (run / "model.safetensors").exists()
    train(f"resume={run}", small=False, code=1)
    again = capfd.readouterr().err
    assert "training diverged: the first validation loss was " in again
    # what a second one is compared with is in the checkpoint
    best = checkpoint.read(run / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["best"]
    assert best["first"] > 100
    assert best["absurd"] == 1
    train(f"resume={run}", "trainer.max_steps=6", small=False, code=1)
    assert "training diverged: after step 6 " in capfd.readouterr().err


def test_a_removed_metrics_csv_is_said(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workplace / "own").mkdir()
    (workplace / "removing.py").write_text(
        "import lightning as L\n"
        "from pathlib import Path\n"
        "class Removing(L.Callback):\n"
        "    def on_train_batch_end(self, trainer, *rest):\n"
        "        if trainer.global_step == 4:\n"
        "            Path('run/metrics.csv').unlink()\n"
    )
    (workplace / "own" / "callbacks").mkdir()
    (workplace / "own" / "callbacks" / "removing.yaml").write_text(
        "defaults: [default]\nremoving:\n  _target_: removing.Removing\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(workplace))
        run = train(
            *QUICK, "--config-dir", str(workplace / "own"), "callbacks=removing",
            "trainer.max_steps=8", "print_every=1",
        )  # fmt: skip
    assert capfd.readouterr().err.count("metrics.csv: was removed, and the rows so far") == 1
    lines = (run / "metrics.csv").read_text().splitlines()
    assert lines[0].startswith("step,epoch,")
    assert [line.split(",")[0] for line in lines[1:]][-3:] == ["6", "7", "8"]
