"""A training run through the command line: what it leaves, what it says, what it must not touch."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import charrnn
from charrnn.models import checkpoint, model_file
from charrnn.runs.folder import recorded
from tests.small_runs import Train, assert_same, metrics, tensors


def test_a_run_folder(train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = train("trainer.max_steps=30")
    out, err = capfd.readouterr()
    assert out == ""
    for name in (
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "model.safetensors",
        "metrics.csv",
    ):
        assert (run / name).is_file(), name
    assert (workplace / "outputs" / "latest").resolve() == run
    assert "epoch 0.05 / 2, step 1 / 30, loss " in err
    assert "epoch 1.50 / 2, step 30 / 30, loss " in err
    assert re.search(r"best validation loss \d\.\d{4}, after step \d+", err)
    assert "charrnn sample checkpoint=run" in err
    steps = [int(row["step"]) for row in metrics(run)]
    assert steps == [1, 5, 7, 10, 14, 15, 20, 21, 25, 28, 30]
    samples = sorted(p.name for p in (run / "samples").iterdir())
    assert samples == [f"step-{s:07d}.txt" for s in (7, 14, 21, 28, 30)]
    model = charrnn.load(run)
    assert len(model.generate(length=50, seed=1)) == 50


@pytest.mark.parametrize("callbacks", ["default", "ema"])
def test_the_last_validation_is_that_of_the_exported_loss(train: Train, callbacks: str) -> None:
    averages = ("callbacks=ema", "callbacks.ema.decay=0.5") if callbacks == "ema" else ()
    run = train("trainer.max_steps=23", *averages)
    rows = metrics(run)
    best = min((float(r["val/loss"]), int(r["step"])) for r in rows if r["val/loss"])
    facts = model_file.load(run / "model.safetensors").facts
    assert (facts["val_loss"], facts["step"]) == best
    from charrnn.data import open_data

    data = open_data(Path(facts["input_h5"]), Path(facts["input_json"]))
    text = charrnn.load(run).vocabulary.decode(data.unread("val")[:])
    assert abs(charrnn.load(run).score(text, counts="none") - best[0]) < 1e-5
    assert facts["primer"] in text
    assert charrnn.load(run / "checkpoints" / "best.ckpt").trained.facts == facts
    content = checkpoint.read(run / "checkpoints" / "best.ckpt")
    trained = content.get("current_model_state", content["state_dict"])
    same = [torch.equal(trained[name], w) for name, w in content["state_dict"].items()]
    assert all(same) == (callbacks == "default")


def test_tensorboard_holds_the_curves(train: Train) -> None:
    run = train("trainer.max_steps=20", "trainer.gradient_clip_val=1e-3")
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    norms = events.Scalars("grad_norm")
    assert [event.step for event in norms] == [1, 5, 10, 15, 20]
    assert min(event.value for event in norms) > 1e-3  # as they were before clipping
    assert len(metrics(run)) == len({row["step"] for row in metrics(run)})
    assert {e.step for e in events.Scalars("train/loss")} == {1, 5, 10, 15, 20}
    assert {e.step for e in events.Scalars("val/loss")} >= {7, 14, 20}
    for name in ("val/bits_per_character", "lr", "characters_per_second"):
        assert events.Scalars(name), name
    assert {e.step for e in events.Tensors("sample/text_summary")} == {7, 14, 20}
    config = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "hidden_size: 16" in config
    assert any("hparams" in tag for tag in events.Tags().get("tensors", [])) or (
        events.PluginTagToContent("hparams")
    )


CHANGES_NOTHING = {
    "none": ["validate_every=0", "print_every=1000", "logger=none", "callbacks.samples.length=0"],
    "often": ["validate_every=2", "print_every=1"],
    "checkpoints often": ["checkpoint_every=1"],
}


def test_looking_changes_nothing(train: Train) -> None:
    with_dropout = ["trainer.max_steps=15", "model.dropout=0.3"]
    expected = tensors(train(*with_dropout, folder="plain"))
    for name, overrides in CHANGES_NOTHING.items():
        found = tensors(train(*with_dropout, *overrides, folder=name))
        for part in ("weights", "optimizer", "ranks"):
            assert_same(found[part], expected[part], name)


def test_the_state_is_zero_at_the_start_of_an_epoch_and_carried_between(train: Train) -> None:
    """Two epochs of 20 windows by hand, against the module's."""
    run = train(
        "trainer.max_steps=40", "checkpoint_every=1000", "callbacks.checkpoints.keep_every=1"
    )
    config = checkpoint.read(run / "checkpoints" / "last.ckpt")[checkpoint.ENTRY]["facts"]
    from charrnn.data import cut_streams, open_data
    from charrnn.network import network_of

    data = open_data(Path(config["input_h5"]), Path(config["input_json"]))
    streams = cut_streams(data, "train", 4, 10)
    assert streams.windows == 20
    for step in (2, 20, 21, 22, 40):
        before = network_of(_model(run, step - 1))
        state = _state(run, step - 1) if (step - 1) % 20 else None
        ids, _ = streams.window((step - 1) % 20)
        _, after = before(torch.from_numpy(ids), state)
        for mine, theirs in zip(after, _state(run, step), strict=True):
            for part, other in zip(mine, theirs, strict=True):
                torch.testing.assert_close(part, other)


def _model(run: Path, step: int) -> model_file.TrainedModel:
    return checkpoint.read_model(run / "checkpoints" / f"step-{step}.ckpt")


def _state(run: Path, step: int) -> list[tuple[torch.Tensor, ...]]:
    content = checkpoint.read(run / "checkpoints" / f"step-{step}.ckpt")
    return [tuple(layer) for layer in content[checkpoint.ENTRY]["ranks"][0]["state"]]


def test_without_validation_the_last_weights_are_exported(train: Train) -> None:
    run = train("trainer.max_steps=10", "validate_every=0")
    last, best = tensors(run), tensors(run, "best.ckpt")
    assert_same(best["weights"], last["weights"])
    exported = model_file.load(run / "model.safetensors").weights
    decoder = last["weights"]["network.decoder.weight"].numpy()
    assert (exported["decoder.weight"] == decoder).all()
    assert not any(row["val/loss"] for row in metrics(run))


@pytest.mark.parametrize("overrides", [(), ("optimizer.lr=1e38",)])
def test_the_next_run_in_this_process_finds_torchs_threads_as_they_were(
    train: Train, overrides: tuple[str, ...]
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        train("trainer.max_steps=3", *overrides, code=1 if overrides else 0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_empty_validation_split(train: Train) -> None:
    run = train("trainer.max_steps=1", "data.val_frac=0")
    assert (run / "model.safetensors").is_file()


def test_too_little_text_shrinks_with_a_line(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workplace / "corpus.txt").write_text("tiny corpus")
    run = train("trainer.max_steps=3")
    assert "little text (9 characters to train on): data.batch_size is 1" in capfd.readouterr().err
    assert (run / "model.safetensors").is_file()


def test_threads_have_a_stream_each_where_the_text_is_short(train: Train, workplace: Path) -> None:
    (workplace / "corpus.txt").write_text("tiny corpus")
    run = train("trainer.max_steps=3", "trainer.threads=2", "data.batch_size=32")
    assert (run / "model.safetensors").is_file()


@pytest.mark.parametrize("text", ["", "x"])
def test_no_text_to_train_on(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    (workplace / "corpus.txt").write_text(text)
    train(code=2)
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert "charrnn train: " in err.splitlines()[-1]
    assert not (workplace / "run" / "checkpoints").exists()


def test_divergence_is_named_and_never_saved(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("trainer.max_steps=40", "optimizer.lr=1e38", "checkpoint_every=3", code=1)
    last_line = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"training diverged.* of step \d+ is not finite", last_line)
    assert "optimizer.lr" in last_line
    for path in (run / "checkpoints").glob("*.ckpt"):
        weights = checkpoint.read(path)["state_dict"].values()
        assert all(torch.isfinite(w).all() for w in weights)


def test_early_stopping(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    stopping = [
        "callbacks=early_stopping",
        "callbacks.early_stopping.patience=2",
        "callbacks.early_stopping.min_delta=100",
    ]
    run = train(*stopping, "trainer.max_steps=100", "validate_every=3")
    # the first validation is better than none, the next two are not better by 100
    assert tensors(run)["step"] == 9
    capfd.readouterr()
    train(f"resume={run}", small=False)
    assert "finished" in capfd.readouterr().err


def test_more_patience_for_a_callback_of_another_name(train: Train) -> None:
    """A run that it stopped goes on."""
    stop = ["_target_=charrnn.training.EarlyStopping", "patience=2", "min_delta=100"]
    run = train(
        *(f"+callbacks.stop.{word}" for word in stop), "trainer.max_steps=100", "validate_every=3"
    )
    assert tensors(run)["step"] == 9
    words = [
        "+callbacks.stop._target_=charrnn.training.EarlyStopping",
        "+callbacks.stop.patience=4",
    ]
    train(f"resume={run}", *words, small=False)
    assert tensors(run)["step"] == 15


def test_init_from_starts_at_its_loss(train: Train, workplace: Path) -> None:
    first = train("trainer.max_steps=60", folder="first")
    second = train(
        "trainer.max_steps=1",
        f"init_from={first / 'checkpoints' / 'last.ckpt'}",
        "model.hidden_size=16",
        folder="second",
    )
    assert float(metrics(second)[0]["train/loss"]) < float(metrics(first)[0]["train/loss"]) - 0.2
    assert tensors(second)["step"] == 1


def test_init_from_the_latest_run_which_the_new_one_then_is(train: Train) -> None:
    train("trainer.max_steps=3", folder="first")
    second = train("trainer.max_steps=3", "init_from=outputs/latest", folder="second")
    config = (second / ".hydra" / "config.yaml").read_text()
    assert f"init_from: {second.parent / 'first'}\n" in config


def test_a_resume_does_without_the_model_that_it_began_from(train: Train) -> None:
    first = train("trainer.max_steps=3", folder="first")
    second = train("trainer.max_steps=3", f"init_from={first}", folder="second")
    shutil.rmtree(first)
    train(f"resume={second}", "trainer.max_steps=6", small=False)
    assert tensors(second)["step"] == 6


def test_batchnorm_needs_more_than_one_character(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    train("model.batchnorm=true", "data.batch_size=1", "data.seq_length=1", code=2)
    assert "model.batchnorm=true" in capfd.readouterr().err


def test_skips_are_the_same_everywhere(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    """Trained by threads, gone on with, scored, written with, and begun from."""
    wanted = ("model.skip=sum", "trainer.threads=2", "~callbacks.counts")
    run = train(*wanted, "data.batch_size=24", "model.dropout=0.2", "trainer.max_steps=3")
    train(f"resume={run}", "trainer.max_steps=6", small=False)
    train(f"resume={run}", "model.skip=none", "trainer.max_steps=7", small=False, code=2)
    assert "model.skip=none: a resume cannot change it" in capfd.readouterr().err
    last, exported = (charrnn.load(run / name) for name in ("checkpoints/last.ckpt", ""))
    assert last.score("the cat sat on a mat") == exported.score("the cat sat on a mat")
    logits = charrnn.load(run).logits("the cat", counts="none")
    texts = {last.generate(100, seed=1, engine=engine) for engine in ("numpy", "torch")}
    assert len(texts) == 1
    second = train(f"init_from={run}", "trainer.max_steps=1", "optimizer.lr=1e-12", folder="second")
    assert np.abs(charrnn.load(second).logits("the cat", counts="none") - logits).max() < 1e-4
    train(f"init_from={run}", "model.skip=none", folder="third", code=2)
    assert "model.skip=none: " in capfd.readouterr().err


def test_init_from_with_another_order_and_fewer_characters(train: Train, workplace: Path) -> None:
    first = train("trainer.max_steps=1", folder="first")
    text = (workplace / "corpus.txt").read_text("utf-8")
    (workplace / "corpus.txt").write_text(text[::-1].replace("Z", "c"), encoding="utf-8")
    second = train("trainer.max_steps=1", f"init_from={first}", folder="second")
    model, parent = charrnn.load(second), charrnn.load(first)
    assert set(model.vocabulary.characters) == set(parent.vocabulary.characters) - {"Z"}


def test_init_from_with_new_characters(
    train: Train, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = train("trainer.max_steps=3", folder="base")
    text = (workplace / "corpus.txt").read_text("utf-8")
    text = text.replace("Z", "ß").replace("saw", "saß").replace("cat", "Kat")
    (workplace / "corpus.txt").write_text(text, encoding="utf-8")
    capfd.readouterr()
    # so small a rate that the weights are those that it begins with
    few = ("trainer.max_steps=1", "optimizer.lr=1e-12", "validate_every=0")
    tuned = train(*few, f"init_from={base}", folder="tuned")
    fresh = train(*few, folder="fresh")
    says = [line for line in capfd.readouterr().err.splitlines() if line.startswith("init_from")]
    model, parent, anew = (charrnn.load(run) for run in (tuned, base, fresh))
    theirs = parent.vocabulary.characters
    new = set(model.vocabulary.characters) - set(theirs)
    assert new == {"ß", "K"}
    common = len(model.vocabulary) - 2
    unused = len(theirs) - common
    assert unused >= 1
    assert says == [
        f"init_from: {common} characters from base, 2 new, {unused} of that model's not used"
    ]
    for name, weight in model.trained.weights.items():
        if name not in ("embedding.weight", "decoder.weight", "decoder.bias"):
            np.testing.assert_allclose(weight, parent.trained.weights[name], atol=1e-9)
            continue
        for row, character in enumerate(model.vocabulary.characters):
            known = character in theirs
            source = (parent if known else anew).trained.weights[name]
            np.testing.assert_allclose(
                weight[row], source[theirs.index(character) if known else row], atol=1e-9
            )


def test_a_small_text_on_top_of_a_model_of_any_kind(train: Train, workplace: Path) -> None:
    base = train("model=gru", "trainer.max_steps=3", folder="base")
    (workplace / "mine.txt").write_text("Größe, Straße, Maß. " * 80, encoding="utf-8")
    few = ("data.input_txt=mine.txt", "trainer.max_steps=3", "trainer=cpu", "trainer.threads=1")
    run = train("experiment=small", f"init_from={base}", *few, folder="tuned", small=False)
    architecture = charrnn.load(run).trained.architecture
    assert (architecture.kind, architecture.hidden_size) == ("gru", 16)
    assert recorded(run)["optimizer"]["lr"] == 3e-3


def test_init_from_refuses_other_shapes(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    first = train("trainer.max_steps=2", folder="first")
    train(f"init_from={first}", "model.hidden_size=17", folder="second", code=2)
    assert "model.hidden_size=17" in capfd.readouterr().err


def test_names_that_are_no_utf8(train: Train, workplace: Path) -> None:
    """As files from a disk of old have them: they are in the config, and so everywhere."""
    name = os.fsdecode(b"Z\xfcrich.txt")
    try:
        (workplace / "corpus.txt").rename(workplace / name)
    except OSError:
        pytest.skip("this file system has names in Unicode only")
    run = train(f"data.input_txt={name}", "trainer.max_steps=7")
    train(f"resume={run}", "trainer.max_steps=9", small=False)
    assert tensors(run)["step"] == 9
