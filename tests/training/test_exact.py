"""An interrupted and resumed run is the run that was never interrupted, to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from charrnn.files import lock
from tests.small_runs import Train, assert_same, metrics, skip_without_bf16, tensors

CASES = {
    "lstm, step": ["schedule.decay_every=1"],
    "gru, constant, bf16": ["model=gru", "schedule=constant", "trainer.precision=bf16-mixed"],
    "rnn, rmsprop": ["model=rnn", "optimizer=rmsprop", "schedule.decay_every=1"],
    "lstm, adamw, bf16, one layer": [
        "optimizer=adamw",
        "trainer.precision=bf16-mixed",
        "model.num_layers=1",
    ],
    "batchnorm": ["model.batchnorm=true"],
    "lstm, three layers, bf16, muon": [
        "model.num_layers=3",
        "trainer.precision=bf16-mixed",
        "optimizer=muon",
    ],
    "lstm, two threads": ["trainer.threads=2", "data.batch_size=16", "data.shuffle=true"],
    "shuffled, in groups of windows": [
        "data.shuffle=true",
        "+trainer.accumulate_grad_batches=2",
    ],
    "lstm, muon, shuffled": [
        "optimizer=muon",
        "schedule=constant",
        "schedule.warmup_steps=24",
        "data.shuffle=true",
    ],
    "gru, an average of the weights": [
        "model=gru",
        "callbacks=ema",
        "callbacks.ema.decay=0.9",
        "optimizer=adam",
    ],
}


# nearly all that these have, others have too
SLOW = {"rnn, rmsprop", "lstm, adamw, bf16, one layer", "batchnorm"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES]
)
def test_resumed_is_uninterrupted(train: Train, case: str) -> None:
    skip_without_bf16("bf16-mixed" if "bf16" in case else "", case.split(",")[0])
    overrides = [*CASES[case], "model.dropout=0.25", "validate_every=11", "logger=csv"]
    # within an epoch and on its end; once also one step beyond, and on a save point
    first, *stops = (9, 20, 21, 40, 49, 60) if case == "lstm, step" else (9, 20, 27)
    whole = train(*overrides, f"trainer.max_steps={stops[-1]}", folder="whole")
    parts = train(*overrides, f"trainer.max_steps={first}", folder="parts")
    for stop in stops:
        train(f"resume={parts}", f"trainer.max_steps={stop}", small=False)
    same = tensors(whole)
    found = tensors(parts)
    # each part ends with a validation of its own, so the best may be another
    for part in ("weights", "optimizer", "ranks", "step"):
        assert_same(found[part], same[part], part)


def test_from_a_model_with_other_characters(train: Train, workplace: Path) -> None:
    """New characters begin from the seed; a resume needs the model no more."""
    base = train("trainer.max_steps=1", folder="base")
    text = (workplace / "corpus.txt").read_text("utf-8").replace("Zoë", "Jürgen")
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    overrides = [f"init_from={base}", "model.dropout=0.25", "schedule=cosine"]
    overrides += ["trainer.max_steps=20", "callbacks.checkpoints.keep_every=9"]
    whole = train(*overrides, folder="whole")
    parts = Path(shutil.copytree(whole, whole.parent / "parts"))
    shutil.copy(parts / "checkpoints" / "step-9.ckpt", parts / "checkpoints" / "last.ckpt")
    shutil.rmtree(base)
    train(f"resume={parts}", small=False)
    assert_same(tensors(parts), tensors(whole))
    assert_same(tensors(parts, "best.ckpt"), tensors(whole, "best.ckpt"))
    assert metrics(parts) == metrics(whole)


def test_from_an_earlier_checkpoint_everything_is_equal(train: Train) -> None:
    """As after a kill: files of later steps lie about, and are made again."""
    overrides = ["model.dropout=0.25", "schedule=cosine", "trainer.max_steps=30"]
    whole = train(*overrides, "callbacks.checkpoints.keep_every=20", folder="whole")
    killed = Path(shutil.copytree(whole, whole.parent / "killed"))
    shutil.copy(killed / "checkpoints" / "step-20.ckpt", killed / "checkpoints" / "last.ckpt")
    train(f"resume={killed}", small=False)
    assert_same(tensors(killed), tensors(whole))
    assert_same(tensors(killed, "best.ckpt"), tensors(whole, "best.ckpt"))
    assert metrics(killed) == metrics(whole)


def test_from_a_checkpoint_in_a_new_folder(train: Train, workplace: Path) -> None:
    whole = train("trainer.max_steps=30", "callbacks.checkpoints.keep_every=20", folder="whole")
    point = whole / "checkpoints" / "step-20.ckpt"
    train(f"resume={point}", "hydra.run.dir=new", small=False)
    assert_same(tensors(workplace / "new"), tensors(whole))
    assert metrics(workplace / "new")[0]["step"] == "21"


def test_auto_goes_on_with_the_newest_unfinished_run(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def auto(*overrides: str) -> list[Path]:
        from charrnn.__main__ import main
        from tests.small_runs import SMALL

        assert main(["train", *SMALL, "resume=auto", "trainer.max_steps=20", *overrides]) == 0
        return sorted(p.parent for p in workplace.glob("outputs/train/*/*/.hydra"))

    (first,) = auto()
    assert len(auto()) == 2  # the first is finished
    content = first / "checkpoints"
    (content / "last.ckpt").unlink()
    (content / "best.ckpt").unlink()
    assert len(auto("optimizer.lr=0.001")) == 3  # another config
    assert len(auto()) == 3
    assert (content / "last.ckpt").is_file()


def test_changed_data_is_refused_by_name(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("trainer.max_steps=5")
    text = (workplace / "corpus.txt").read_text("utf-8")
    (workplace / "corpus.txt").write_text(text.replace("cat", "act", 1), encoding="utf-8")
    train(f"resume={run}", "trainer.max_steps=9", small=False, code=2)
    assert "the data is not what" in capfd.readouterr().err


def test_a_finished_run_stays_as_it_is(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    run = train("trainer.max_steps=10")
    before, config = tensors(run), (run / ".hydra" / "config.yaml").read_bytes()

    def says(*words: str, code: int = 2) -> str:
        capfd.readouterr()
        train(*words, small=words[0] != f"resume={run}", code=code)
        assert (run / ".hydra" / "config.yaml").read_bytes() == config
        assert_same(tensors(run), before)
        return capfd.readouterr().err

    assert "finished, at step 10" in says(f"resume={run}", code=0)
    assert "at step 10 already" in says(f"resume={run}", "trainer.max_steps=5")
    assert "model.hidden_size=17" in says(f"resume={run}", "model.hidden_size=17")
    assert "holds a run already" in says("trainer.max_steps=11")
    held = lock(run / ".lock", wait=False)
    assert held is not None
    with held:
        assert "another charrnn (process" in says(f"resume={run}", "trainer.max_steps=19")


def test_the_checkpoint_of_a_finished_run_says_so(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    last = train("trainer.max_steps=5") / "checkpoints" / "last.ckpt"
    train(f"resume={last}", "hydra.run.dir=new", small=False)
    assert "last.ckpt: its run is finished, at step 5; a larger" in capfd.readouterr().err
    assert not (workplace / "new").exists()
    (workplace / "new").mkdir()
    (workplace / "new" / "mine.txt").touch()
    train(f"resume={last}", "hydra.run.dir=new", small=False)
    assert [path.name for path in (workplace / "new").iterdir()] == ["mine.txt"]
    train(f"resume={last}", "hydra.run.dir=new", "trainer.max_steps=6", small=False)
    assert tensors(workplace / "new")["step"] == 6


def test_a_damaged_checkpoint_is_set_aside(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    run = train("trainer.max_steps=20", "callbacks.checkpoints.keep_every=15")
    expected = tensors(run)
    last = run / "checkpoints" / "last.ckpt"
    damaged = bytearray(last.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    last.write_bytes(damaged)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"")
    train(f"resume={run}", small=False)
    err = capfd.readouterr().err
    assert "last.ckpt.damaged" in err
    assert (run / "checkpoints" / "last.ckpt.damaged").read_bytes() == damaged
    assert (run / "checkpoints" / "best.ckpt.damaged").exists()
    assert_same(tensors(run)["weights"], expected["weights"])


def test_a_quoted_folder_is_the_same_folder(train: Train, workplace: Path) -> None:
    run = train("trainer.max_steps=5")
    before = sorted(p.name for p in workplace.iterdir())
    train(f"resume='{run}'", "trainer.max_steps=7", small=False)
    assert tensors(run)["step"] == 7
    assert sorted(p.name for p in workplace.iterdir()) == before


def test_a_run_that_has_no_checkpoint_yet_is_a_run(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("trainer.max_steps=5")
    shutil.rmtree(run / "checkpoints")
    before = (run / ".hydra" / "config.yaml").read_bytes()
    train("trainer.max_steps=6", "model=gru", code=2)
    assert "holds a run already" in capfd.readouterr().err
    assert (run / ".hydra" / "config.yaml").read_bytes() == before
