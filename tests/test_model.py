"""The Python face."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import charrnn
from charrnn.errors import InputError, RunError
from charrnn.model import Model, load
from charrnn.models import find_model
from tests.generation.models import trained_model

# In a process of its own: what sampling from a model file imports
IMPORTS = """
import sys
import charrnn

model = charrnn.load(sys.argv[1])
assert len(model.generate(length=50, start_text="A", seed=1)) == 50
assert model.logits("Hm").shape == (2, 65)
assert len("".join(model.stream(length=50))) == 50
heavy = {"torch", "lightning", "hydra", "numba", "h5py", "tensorboard"}
print(" ".join(sorted(heavy & sys.modules.keys())))
"""


@pytest.fixture
def model() -> Model:
    return Model(trained_model())


@pytest.fixture
def path(tmp_path: Path, model: Model) -> Path:
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def refusal(path: str | os.PathLike[str]) -> str:
    with pytest.raises(InputError) as refused:
        load(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# What a model can do


def test_logits(model: Model) -> None:
    logits = model.logits("ROMEO:")
    assert logits.shape == (6, 65)
    assert logits.dtype == np.float32
    assert np.abs(logits[:3] - model.logits("ROM")).max() < 1e-5
    assert model.logits("").shape == (0, 65)
    with pytest.raises(InputError, match="U\\+00E9"):
        model.logits("é")


def test_score_is_the_mean_loss_of_the_logits(model: Model) -> None:
    text = "To be, or not to be: that is the question"
    logits, ids = model.logits(text).astype(np.float64), model.vocabulary.encode(text)
    log_sums = np.log(np.exp(logits).sum(-1))[:-1]
    losses = log_sums - logits[np.arange(len(ids) - 1), ids[1:]]
    assert model.score(text) == pytest.approx(losses.mean(), abs=1e-4)
    for short in ("", "A"):
        with pytest.raises(InputError, match="two or more"):
            model.score(short)


def test_generate(model: Model) -> None:
    text = model.generate(length=200, start_text="ROMEO:", temperature=0.8, seed=1)
    assert len(text) == 200
    assert text == model.generate(200, "ROMEO:", temperature=0.8, seed=1)
    assert "".join(model.stream(200, "ROMEO:", temperature=0.8, seed=1)) == text
    assert model.generate(200, "ROMEO:", temperature=0.8, seed=1, num_samples=3)[0] == text
    assert model.generate(length=0) == ""
    assert model.generate(length=3, num_samples=1, seed=2) == [model.generate(length=3, seed=2)]
    assert model.generate(start_text="A", seed=1, until=text[5]).find(text[5]) == -1


def test_stream_comes_in_pieces(model: Model) -> None:
    pieces = list(model.stream(length=1000, seed=1))
    assert len(pieces) > 3
    assert len(pieces[0]) < 50  # the first comes soon
    assert all(pieces)


def test_values_out_of_range_are_refused_at_once(model: Model) -> None:
    for values, named in (
        ({"length": -1}, "length"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"until": ""}, "until"),
        ({"engine": "abacus"}, "engine"),
        ({"start_text": "é"}, "start_text"),
    ):
        with pytest.raises(InputError, match=named):
            model.generate(**values)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=named):
            model.stream(**values)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="num_samples"):
        model.generate(num_samples=0)


def test_threads_share_a_model(model: Model) -> None:
    from concurrent.futures import ThreadPoolExecutor

    expected = [model.generate(150, seed=s) for s in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda s: model.generate(150, seed=s), range(8))) == expected


def test_the_package_offers_it(path: Path) -> None:
    assert charrnn.load is load
    assert charrnn.Model is Model
    assert repr(charrnn.load(path)) == "Model(lstm 2 x 24, 65 characters)"


# Where a model is loaded from


def test_a_model_file_is_read_without_torch(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


def test_the_content_says_what_a_file_is(path: Path, model: Model) -> None:
    text = model.generate(50, seed=1)
    for name in ("model", "model.ckpt", "model.t7", "mödel ${x}.txt"):
        other = path.with_name(name)
        shutil.copy(path, other)
        assert load(other).generate(50, seed=1) == text
        assert load(str(other)).generate(50, seed=1) == text


def test_torch_rnns_files(shared: Path, tmp_path: Path) -> None:
    source = shared / "torch7" / "lstm.t7"
    if not source.is_file():
        pytest.skip("../shared/torch7/lstm.t7 is missing")
    other = tmp_path / "checkpoint"
    shutil.copy(source, other)
    assert load(other).trained.architecture == load(source).trained.architecture
    ascii_one = shutil.copy(shared / "torch7" / "lstm.ascii.t7", tmp_path / "ascii")
    assert load(ascii_one).trained.architecture == load(source).trained.architecture


def test_a_run_folder_is_its_best_model(path: Path, model: Model) -> None:
    run = path.parent / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / ".hydra").mkdir()
    assert "has no model yet" in refusal(run)
    for name in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "model.safetensors"):
        shutil.copy(path, run / name)
        assert find_model(run) == run / name
    assert load(run).generate(50, seed=1) == model.generate(50, seed=1)
    latest = path.parent / "latest"
    latest.symlink_to(run)
    assert load(latest).generate(50, seed=1) == model.generate(50, seed=1)


def test_the_default_is_the_latest_run(
    path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(InputError, match="charrnn train"):
        load()
    (path.parent / "outputs" / "latest").mkdir(parents=True)
    shutil.copy(path, "outputs/latest/model.safetensors")
    assert load().generate(50, seed=1) == model.generate(50, seed=1)


def test_what_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    assert "no such file or folder; `charrnn train`" in refusal(tmp_path / "none")
    assert "is no run folder" in refusal(tmp_path)
    (tmp_path / "broken").symlink_to("gone")
    assert "leads to gone, which is gone" in refusal(tmp_path / "broken")
    assert "cannot be read" in refusal("a\0b")
    (tmp_path / "text").write_text("To be, or not to be")
    assert "is no model" in refusal(tmp_path / "text")
    assert "cannot be read" in refusal(tmp_path / "text" / "below")
    (tmp_path / "empty").write_text("")
    assert "is empty" in refusal(tmp_path / "empty")
    (tmp_path / "pickle").write_bytes(b"\x80\x04cposix\nsystem\n(Vtouch ran\ntR.")
    assert "is no model" in refusal(tmp_path / "pickle")
    os.mkfifo(tmp_path / "fifo")
    assert "is no regular file" in refusal(tmp_path / "fifo")
    assert "is no regular file" in refusal("/dev/zero")


def test_a_file_of_a_known_name_and_other_content(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.ckpt", "a.t7"):
        (tmp_path / name).write_bytes(b"nothing of that kind")
        assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: ")
        (tmp_path / name).write_bytes(b"")
        assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: ")


def test_save(path: Path, model: Model) -> None:
    again = path.with_name("again.safetensors")
    load(path).save(again)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(RunError, match="cannot be written"):
        model.save(path / "below")
