"""The texts that a server trains on, on disk below outputs/serve/.

ID/training.json   the name of the training, its state, and whose it is
ID/NAME.txt        its text, beside which `charrnn train` writes the ids
ID/cache/          or the ids, if the names of their files are taken
ID/run/            an ordinary run of `charrnn train`
ID/log             the messages of its last process
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from charrnn import files
from charrnn.errors import to_one_line
from charrnn.extras.serve.trainings.texts import check_name, number_name, read_text_facts
from charrnn.runs.folder import LATEST
from charrnn.say import say

ROOT = files.OUTPUTS / "serve"
RECORD, PART = "training.json", ".part"
# The states of a training. A deleted one is no longer in the store.
WAITING, TRAINING, STOPPED = "waiting", "training", "stopped"
FAILED, READY, DELETED = "failed", "ready", "deleted"


@dataclass(eq=False)
class Training:
    """A text and its network, as training.json has it.

    Attributes:
        file: the name of its text's file.
        name: of the text and of the model.
        owner: see `charrnn.extras.serve.trainings.clients`.
        minutes: the time that training may take; None: chosen by the length of the text.
        characters: of the text.
        kind: "text", "list" or "code".
        created: seconds since 1970.
        seconds: that it has trained in all its turns.
        is_shared: whether all clients may write with the model.
        error: the line that says why it failed.
        background: the id of a training whose text it counts too.
        start_from, start_file: the name and the file of the model from whose weights it starts.
        start_id: the id of the training that made this model; None for another model.
        by_teacher: whether the teacher has sent it, who may use all texts and models.
        missing: "background" or "start_from", if it was deleted, or is no longer shared, and the
            training does without it.
    """

    file: str
    name: str
    owner: str
    minutes: float | None
    characters: int
    kind: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    created: float = field(default_factory=time.time)
    state: str = WAITING
    seconds: float = 0.0
    is_shared: bool = False
    error: str | None = None
    background: str | None = None
    start_from: str | None = None
    start_file: str | None = None
    start_id: str | None = None
    by_teacher: bool = False
    missing: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return ROOT / self.id

    @property
    def text(self) -> Path:
        return self.folder / self.file

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def model(self) -> Path:
        """The model file, which is there after the first validation."""
        return self.run / "model.safetensors"


def is_learned(run: Path) -> bool:
    """Return whether a run is a training of a client, of this server or another: it is private."""
    return ROOT.resolve() in run.parents or (run.parent / RECORD).is_file()


class Store:
    """The trainings of a server. Its methods may be called in any thread.

    Args:
        reserved: names that no training may have.

    Attributes:
        changed: the condition that is notified when a training changes.
    """

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self._reserved = reserved
        self.changed = threading.Condition(threading.RLock())
        self._trainings: dict[str, Training] = {}
        self._lock: IO[str] | None = None  # of the folder, which belongs to one server at a time

    def open(self, *, make: bool) -> bool:
        """Read the trainings on disk. Return False if another server has the folder.

        Args:
            make: make the folder if it does not exist; otherwise there is nothing to read.
        """
        with self.changed:
            if self._lock is not None or not (make or ROOT.is_dir()):
                return True
            self._lock = files.acquire_lock(ROOT / ".lock", wait=False)
            if self._lock is None:
                return False
            for folder in sorted(ROOT.iterdir()):
                if folder.suffix == PART:
                    shutil.rmtree(folder, ignore_errors=True)
                elif (folder / RECORD).is_file():
                    self._read(folder)
            self.changed.notify_all()
            return True

    def _read(self, folder: Path) -> None:
        try:
            training = TypeAdapter(Training).validate_json((folder / RECORD).read_bytes())
        except (OSError, ValueError) as error:
            say(f"skipped a training: {folder / RECORD}: cannot be read ({to_one_line(error)})")
            return
        if Path(training.file).name != training.file:
            say(f"skipped a training: {folder / RECORD}: its file is in another folder")
            return
        training.id = folder.name  # A copied folder is another training.
        training.name = self.find_free_name(training.name)  # A served model may have its name now.
        if training.state == TRAINING:  # when the last server was killed
            training.state = WAITING
        self._trainings[folder.name] = training

    def list_all(self) -> list[Training]:
        """Return the trainings, with the oldest first."""
        with self.changed:
            return sorted(self._trainings.values(), key=lambda training: training.created)

    def list_waiting(self) -> list[Training]:
        """Return the waiting trainings, with the next one first.

        It is the one of the client whose trainings have trained least, and of these the one that
        has trained least.
        """
        trainings, seconds = self.list_all(), defaultdict[str, float](float)
        for training in trainings:
            seconds[training.owner] += training.seconds
        waiting = [training for training in trainings if training.state == WAITING]
        return sorted(waiting, key=lambda training: (seconds[training.owner], training.seconds))

    def find(self, id_: str) -> Training | None:
        with self.changed:
            return self._trainings.get(id_)

    @contextmanager
    def receive_text(self) -> Iterator[Path]:
        """Yield the path of a new text, which `add` takes. It is removed after the block."""
        folder = ROOT / f"{secrets.token_hex(8)}{PART}"
        files.make_folder(folder)
        try:
            yield folder / "text"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(
        self, text: Path, name: str, owner: str, minutes: float | None, **sources: Any
    ) -> Training:
        """Add a training to the queue. Raise InputError if its file is no text.

        Args:
            sources: the fields from `background` to `by_teacher`.
        """
        name, file = check_name(name), f"{name}.txt"
        facts = read_text_facts(text, name)
        training = Training(file, name, owner, minutes, *facts, **sources)
        with self.changed, files.convert_write_errors(training.folder):
            training.name = self.find_free_name(name)
            os.replace(text, text.with_name(training.file))
            _write_record(text.parent, asdict(training))
            os.replace(text.parent, training.folder)
            self._trainings[training.id] = training
            self.changed.notify_all()
        return training

    def find_free_name(self, name: str) -> str:
        """Return a name, with a number if a model or another training has it."""
        with self.changed:
            taken = {training.name for training in self._trainings.values()} | {*self._reserved}
        return number_name(name, taken)

    def update(self, training: Training, *, name: str | None = None, **values: object) -> None:
        """Change a training, and write it to the disk. A new name that is taken gets a number."""
        with self.changed:
            if training.state == DELETED:
                return
            if name is not None and (name := check_name(name)) != training.name:
                values["name"] = self.find_free_name(name)
            _write_record(training.folder, {**asdict(training), **values})
            vars(training).update(values)
            self.changed.notify_all()

    def remove(self, training: Training) -> None:
        """Delete a training with all its files. Its process must have ended."""
        with self.changed:
            training.state = DELETED
            self._trainings.pop(training.id, None)
            self.changed.notify_all()
        shutil.rmtree(training.folder, ignore_errors=True)
        files.remove_dangling_link(LATEST)

    def remove_rest(self) -> None:
        """Delete the files of trainings whose record could not be read."""
        with self.changed:
            folders = [*ROOT.glob("*/")] if self._lock is not None else []
            rest = [f for f in folders if f.suffix != PART and f.name not in self._trainings]
        for folder in rest:
            shutil.rmtree(folder, ignore_errors=True)


def _write_record(folder: Path, values: dict[str, object]) -> None:
    with files.replace_file(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(values))
