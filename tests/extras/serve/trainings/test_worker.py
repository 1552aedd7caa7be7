"""The queue and its processes: kills, turns, failures, and what stays on the disk."""

from __future__ import annotations

import csv
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import InputError
from charrnn.extras.serve.trainings.progress import describe_progress
from charrnn.extras.serve.trainings.store import Training
from charrnn.extras.serve.trainings.texts import check_name, read_text_facts
from charrnn.runs.summary import Summary
from tests.extras.serve.servers import until
from tests.extras.serve.trainings.tiny import TINY, training_in, write_text


def records(folder: Path) -> list[dict[str, Any]]:
    paths = folder.glob("outputs/serve/*/training.json")
    return sorted((json.loads(p.read_text()) for p in paths), key=lambda r: float(r["created"]))


def states(folder: Path) -> list[str]:
    return [record["state"] for record in records(folder)]


def run_of(folder: Path, number: int = 0) -> Path:
    return folder / "outputs/serve" / records(folder)[number]["id"] / "run"


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a run's folder."""
    try:
        with open(folder / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def results(run: Path) -> tuple[Any, list[dict[str, str]]]:
    """Read the last weights, and the rows of metrics.csv without the speed."""
    import torch

    last = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    with open(run / "metrics.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    for row in rows:
        del row["characters_per_second"]
    return {name: weight.tolist() for name, weight in last["state_dict"].items()}, rows


def test_a_kill_of_the_server_loses_nothing(tmp_path: Path) -> None:
    """Check that a training ends after kill -9 of the server, and continues with the next."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for folder in (cut, whole):
        folder.mkdir()
    with training_in(cut) as first:
        first.do(f"add('cats', {write_text()!r})")
        until(lambda: len(Summary(run_of(cut)).rows) > 20)
        first.process.kill()
    # The second process starts while the first training may still save.
    with training_in(cut), training_in(whole) as other:
        other.do(f"add('cats', {write_text()!r})")
        until(lambda: states(cut) == states(whole) == ["ready"])
    assert "resuming from" in (run_of(cut).parent / "log").read_text()
    assert results(run_of(cut)) == results(run_of(whole))
    assert Summary(run_of(cut)).text == "cats.txt"
    assert (cut / "outputs/latest").resolve() == run_of(cut)


def test_a_training_ends_when_its_server_is_gone(tmp_path: Path) -> None:
    with training_in(tmp_path, *TINY, "trainer.max_steps=1000000") as trainer:
        trainer.do(f"add('cats', {write_text()!r})")
        until(lambda: len(Summary(run_of(tmp_path)).rows) > 5)
    until(lambda: not is_locked(run_of(tmp_path)))
    assert "SIGTERM: saving the run" in (run_of(tmp_path).parent / "log").read_text()
    assert (run_of(tmp_path) / "checkpoints/last.ckpt").exists()


def test_a_training_that_never_fits_on_the_disk_fails_in_the_end(tmp_path: Path) -> None:
    """Check that others have their turns meanwhile, and that its client can let it continue."""
    full = "charrnn train: x.h5: No space left on device; the run is saved"
    with training_in(tmp_path) as trainer:
        trainer.do(f"full = lambda training: (training.log.write_text({full!r}), 1)[1]")
        trainer.do(
            "result = lambda self, training: 0 if training.name == 'small' else full(training)"
        )
        trainer.do("workers.GIVE_UP, workers.Worker._train = 5.0, result")
        for name in ("large", "small"):
            trainer.do(f"add({name!r}, b'some text')")
        until(lambda: states(tmp_path)[1] == "ready")
        assert states(tmp_path)[0] == "waiting"
        for _ in range(2):
            until(lambda: states(tmp_path)[0] == "failed")
            assert records(tmp_path)[0]["error"] == "x.h5: No space left on device"
            trainer.do("workers.GIVE_UP = 0.1; store.update(store.list_all()[0], state='waiting')")


@pytest.mark.slow
def test_trainings_take_turns_and_a_failed_one_holds_up_nobody(tmp_path: Path) -> None:
    with training_in(tmp_path, turn=4) as trainer:
        trainer.do(f"with store.changed: add('cats0', {write_text()!r}).file = 'none.txt'")
        for number in (1, 2):
            trainer.do(f"add('cats{number}', {write_text(number)!r})")
        until(lambda: states(tmp_path) == ["failed", "ready", "ready"], 240)
    error = records(tmp_path)[0]["error"]
    assert error.endswith("/none.txt: no such file; name a file, a folder or a glob")
    # The first one was interrupted, so that the other one had a network early.
    run = run_of(tmp_path, 1)
    assert len([*run.glob("events.out.tfevents.*")]) > 1
    assert Summary(run).rows[-1]["step"] == 2000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the text is empty"),
        (b"a", "the text is too short"),
        (b"caf\xe9 au lait, s'il vous pla\xeet", "not utf-8 at byte 3"),
        ("büro ".encode("utf-16") * 30, "is utf-16"),
        (b"\0" * 200, "is not a text"),
    ],
)
def test_a_file_that_is_no_text_is_refused_without_options(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_text_facts(tmp_path / "text", "mine")
    assert str(refused.value).startswith(f"mine: {reason}")
    assert "=" not in str(refused.value)


def test_kinds_of_text_and_names(tmp_path: Path) -> None:
    lines = "".join(f"Anna{number}\n" for number in range(20_000))
    code = "def f(x):\n    if x[0] == {}:\n        return (x + 1)\n" * 20
    for text, kind in ((lines, "list"), (code, "code"), (write_text().decode(), "text")):
        (tmp_path / "text").write_text(text)
        assert read_text_facts(tmp_path / "text", "mine") == (len(text), kind)
    assert check_name("  Faust,  der Tragödie 1. Teil ") == "Faust, der Tragödie 1. Teil"
    for name in ("", " ", "../x", "a/b", "a\\b", ".", "<b>", "a&b", "a\0", "a\u202eb", "x" * 51):
        with pytest.raises(InputError, match="name: "):
            check_name(name)


def test_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that the time is known after ten seconds of training."""
    monkeypatch.chdir(tmp_path)
    training = Training("cats.txt", "cats", "me", None, 1000, "text")
    (training.run / ".hydra").mkdir(parents=True)
    assert describe_progress(training)["seconds_left"] is None
    model = "{kind: gru, num_layers: 2, hidden_size: 8}"
    config = f"model: {model}\ndata: {{batch_size: 5, seq_length: 20}}\ntrainer: {{max_steps: 300}}"
    (training.run / ".hydra/config.yaml").write_text(config)
    for step, left in ((1, None), (99, None), (100, 20.0), (300, 0.0)):
        rows = f"step,train/loss,characters_per_second\n1,4.5,1000\n{step},2.5,1000\n"
        (training.run / "metrics.csv").write_text(rows)
        assert describe_progress(training)["seconds_left"] == left
