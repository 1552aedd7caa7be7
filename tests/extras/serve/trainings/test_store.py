"""Test the store of trainings without a server: names, records and shared sources."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from charrnn.extras.serve.trainings.store import RECORD, TRAINING, Store, Training
from charrnn.extras.serve.trainings.worker import Worker
from tests.extras.serve.trainings.tiny import write_text


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Open a store in an empty folder."""
    monkeypatch.chdir(tmp_path)
    opened = Store()
    assert opened.open(make=True)
    yield opened
    if opened._lock is not None:
        opened._lock.close()


@contextmanager
def restart(store: Store, reserved: Collection[str] = ()) -> Iterator[Store]:
    """Open the folder of a store whose server was killed."""
    assert store._lock is not None
    store._lock.close()
    store._lock = None
    other = Store(reserved)
    assert other.open(make=False)
    assert other._lock is not None
    with other._lock:
        yield other


def add(store: Store, name: str = "Faust", owner: str = "anna", **sources: Any) -> Training:
    with store.receive_text() as path:
        path.write_bytes(write_text())
        return store.add(path, name, owner, None, **sources)


def test_names_stay_unique_when_many_rename_at_once(store: Store) -> None:
    trainings = [add(store, f"text {number}") for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda training: store.update(training, name="Faust"), trainings))
    assert len({training.name for training in trainings}) == 20
    assert not Store().open(make=True)  # the folder belongs to one server at a time
    served = {"Faust"}  # the names of the models of the next server
    with restart(store, served) as other:
        assert served.isdisjoint(training.name for training in other.list_all())


@pytest.mark.parametrize(("name", "value"), [("minutes", "x"), ("created", "now"), ("state", 5)])
def test_a_record_with_a_wrong_type_is_skipped(
    store: Store, name: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    record = add(store).folder / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), name: value}))
    with restart(store) as other:
        assert other.list_all() == []
        assert f"skipped a training: {record}" in capsys.readouterr().err


def test_a_copied_folder_is_another_training(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = add(store)
    copy, stray = (shutil.copytree(first.folder, f"{first.folder}-{n}") for n in ("copy", "stray"))
    record = json.loads((Path(stray) / RECORD).read_text())
    (Path(stray) / RECORD).write_text(json.dumps({**record, "file": "../../mine.txt"}))
    with restart(store) as other:
        assert {t.id: t.name for t in other.list_all()} == {
            first.id: "Faust", Path(copy).name: "Faust 2",
        }  # fmt: skip
        assert "its file is in another folder" in capsys.readouterr().err
        second = other.find(Path(copy).name)
        assert second is not None
        other.remove(second)
        assert (first.folder.is_dir(), Path(copy).exists()) == (True, False)


def test_a_training_waits_again_after_a_server_that_was_killed(store: Store) -> None:
    training = add(store)
    training.state = TRAINING
    store.update(training, is_shared=True)  # as a client may at any time
    with restart(store) as later:
        (waiting,) = later.list_waiting()
        assert (waiting.id, waiting.is_shared) == (training.id, True)


def test_the_client_that_has_trained_least_is_next(store: Store) -> None:
    first, *others = (add(store, str(number), "anna") for number in range(3))
    store.update(first, seconds=30.0)
    mine = add(store, "mine", "ben")
    store.update(mine, seconds=20.0)
    assert store.list_waiting() == [mine, *others, first]


def test_a_text_that_is_no_longer_shared_does_not_help(store: Store) -> None:
    theirs = add(store, "theirs", "ben", is_shared=True)
    theirs.model.parent.mkdir()
    theirs.model.touch()
    file = str(theirs.model)
    mine = add(store, background=theirs.id, start_file=file, start_id=theirs.id)
    teachers = add(store, owner="clara", background=theirs.id, by_teacher=True)
    worker = Worker(store, min_free=0)
    assert f"data.background={theirs.text}" in worker.list_words(mine)
    store.update(theirs, is_shared=False)
    assert worker.list_missing(mine) == ["background", "start_from"]
    assert worker.list_missing(teachers) == []
