"""Train the waiting texts in turn, each in a separate process."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from charrnn.errors import STOP_SIGNALS, RunError
from charrnn.extras.serve.lazy_models import stamp
from charrnn.extras.serve.trainings.store import (
    DELETED,
    FAILED,
    READY,
    ROOT,
    TRAINING,
    WAITING,
    Store,
    Training,
)
from charrnn.runs.folder import find_checkpoint
from charrnn.runs.summary import METRICS
from charrnn.say import say

WORDS: Sequence[str] = ()  # more words for each `charrnn train`
TURN = 30.0  # seconds of training after which the next one has its turn
_LOOK = 0.3  # seconds between two looks at the process
_RETRY = 5.0  # seconds between two looks at a full disk
GIVE_UP = 600.0  # seconds after which a training fails for which the disk was always too full
# exit codes after a signal to stop: of the command, and before the command handles signals
_SIGNALLED = (143, 130, *(-signum for signum in STOP_SIGNALS))
# the end of an error's line, which has a command for a terminal
_ADVICE = re.compile(r"; (the run is saved|there is no checkpoint yet|nothing was started).*")


class Worker:
    """The thread that trains.

    Args:
        min_free: bytes; no training starts if the disk has fewer.
    """

    def __init__(self, store: Store, min_free: int) -> None:
        self._store, self._min_free = store, min_free
        self._current: Training | None = None  # guarded by `store.changed`
        self._full_since: dict[str, float] = {}  # by the ids of trainings that did not fit

    def start(self) -> None:
        # The thread need not be stopped: if the server ends, the process of a training ends too.
        threading.Thread(target=self._run, name="trainings", daemon=True).start()

    def has_space(self, size: int = 0) -> bool:
        """Return whether the disk has room for a training and for `size` bytes."""
        with suppress(OSError):
            free = shutil.disk_usage(ROOT if ROOT.is_dir() else ".").free
            return free - size >= self._min_free
        return False

    def delete(self, *trainings: Training) -> None:
        """End trainings at once, and delete all their files."""
        changed = self._store.changed
        with changed:
            for training in trainings:
                training.state = DELETED
            changed.notify_all()
            changed.wait_for(lambda: self._current not in trainings)
        for training in trainings:
            self._store.remove(training)

    def _run(self) -> None:
        while True:
            training = self._wait_for_next()
            try:
                code = self._train(training)
                self._settle(training, code)
            except (OSError, RunError) as error:  # a full disk
                say(f"{training.folder}: {error}")
                time.sleep(_RETRY)
                with self._store.changed:
                    if training.state in (TRAINING, WAITING) and self._gives_up(training):
                        training.state, training.error = FAILED, str(error)
            finally:
                with self._store.changed:
                    if training.state == TRAINING:
                        training.state = WAITING
                    self._current = None
                    self._store.changed.notify_all()

    def _wait_for_next(self) -> Training:
        with self._store.changed:
            while not (waiting := self._store.list_waiting()) or not self.has_space():
                self._store.changed.wait(_RETRY if waiting else None)
            waiting[0].state, self._current = TRAINING, waiting[0]
            return waiting[0]

    def _train(self, training: Training) -> int:
        """Train until the end, a stop, or the end of the turn. Return the exit code."""
        self._drop_missing(training)
        metrics = training.run / METRICS
        before, began, had_model = stamp(metrics), None, training.model.exists()
        words = [f"data.input_txt={training.text}", *WORDS, *self.list_words(training)]
        command = [sys.executable, "-m", "charrnn.extras.serve.trainings.child"]
        environment = os.environ | {
            # for the ids, if they cannot be written beside the text, so that they are deleted
            "CHARRNN_CACHE": str((training.folder / "cache").absolute()),
            # A file in the user's folder, such as random.py, must not replace a module of Python's.
            "PYTHONSAFEPATH": "1",
        }
        with (
            open(training.log, "wb") as log,
            subprocess.Popen(
                [*command, str(training.run), *words],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env=environment,
            ) as child,
        ):  # fmt: skip
            while child.poll() is None and training.state == TRAINING:
                # The run starts to write metrics.csv shortly before its first step.
                if began is None and stamp(metrics) != before:
                    began = time.monotonic()
                seconds = 0.0 if began is None else time.monotonic() - began
                if began is not None and self._is_turn_over(training, seconds, had_model):
                    break
                with self._store.changed:
                    self._store.changed.wait(_LOOK)
            if training.state == DELETED:
                child.kill()
            assert child.stdin is not None
            child.stdin.close()
            code = child.wait()
        training.seconds += 0.0 if began is None else time.monotonic() - began
        return code

    def list_words(self, training: Training) -> list[str]:
        """Return the words of `charrnn train` for the options of a training."""
        words = []
        if training.minutes is not None:
            words.append(f"budget={round(training.minutes * 60)}s")
        if text := self._find_background(training):
            words.append(f"data.background={text}")
        if training.start_file is not None and "start_from" not in training.missing:
            words.append(f"init_from={training.start_file}")
        return words

    def _find_background(self, training: Training) -> Path | None:
        """Return the other text of a training, if it has one that it may still use."""
        if training.background is None or "background" in training.missing:
            return None
        other = self._find_usable(training, training.background)
        return None if other is None else other.text

    def _find_usable(self, training: Training, id_: str) -> Training | None:
        """Return another training that exists and is the owner's, or shared.

        A run that has begun keeps what it was allowed to use.
        """
        other = self._store.find(id_)
        if other is None or other.is_shared or other.owner == training.owner:
            return other
        has_begun = find_checkpoint(training.run) is not None
        return other if has_begun or training.by_teacher else None

    def list_missing(self, training: Training) -> list[str]:
        """Return the sources that the training needs, but that were deleted or hidden lately."""
        missing, known, start = [], training.missing, training.start_file
        needs_background = training.background is not None and "background" not in known
        if needs_background and self._find_background(training) is None:
            missing.append("background")
        # A run that has a checkpoint no longer needs the model from which it started.
        begins = bool(missing) or find_checkpoint(training.run) is None
        if start and begins and "start_from" not in known and not self._has_start(training, start):
            missing.append("start_from")
        return missing

    def _has_start(self, training: Training, file: str) -> bool:
        """Return whether the model to start from exists, and may be used."""
        maker = training.start_id
        return os.path.exists(file) and not (maker and self._find_usable(training, maker) is None)

    def _drop_missing(self, training: Training) -> None:
        """Remove a run whose sources are missing, because a resume would need them."""
        if missing := self.list_missing(training):
            shutil.rmtree(training.run, ignore_errors=True)
            self._store.update(training, missing=[*training.missing, *missing])

    def _is_turn_over(self, training: Training, seconds: float, had_model: bool) -> bool:
        """Return whether another training waits for its turn.

        A turn also ends with the first network, if another training has none yet.
        """
        waiting = self._store.list_waiting()
        is_first = not had_model and training.model.exists()
        return any(seconds > TURN or (is_first and not other.model.exists()) for other in waiting)

    def _settle(self, training: Training, code: int) -> None:
        """Record how a process ended. The state has changed already if it was stopped."""
        with self._store.changed:
            if code == 0:
                self._store.update(training, state=READY, error=None)
            elif training.state != TRAINING:  # A client has stopped it.
                self._store.update(training)
            elif code in _SIGNALLED or self.list_missing(training):
                self._store.update(training, state=WAITING, error=None)
            else:
                error = _read_error(training, code)
                is_full = os.strerror(errno.ENOSPC) in error or not self.has_space()
                state = WAITING if is_full and not self._gives_up(training) else FAILED
                # It has had its turn, so that others are not held up.
                seconds = training.seconds + (TURN if is_full else 0)
                self._store.update(training, state=state, error=error, seconds=seconds)
                return
        self._full_since.pop(training.id, None)

    def _gives_up(self, training: Training) -> bool:
        """Return whether the disk has been too full for a training for a long time."""
        since = self._full_since.setdefault(training.id, time.monotonic())
        if time.monotonic() - since < GIVE_UP:
            return False
        del self._full_since[training.id]  # Its client may let it continue.
        return True


def _read_error(training: Training, code: int) -> str:
    """Return why a process ended: its last line, without the advice for a terminal."""
    if code < 0:
        return f"the training was killed (signal {-code}), perhaps for lack of memory"
    lines = training.log.read_text("utf-8", "replace").strip().splitlines()
    line = lines[-1] if lines else f"the training ended with exit code {code}"
    return _ADVICE.sub("", line.removeprefix("charrnn train: "))
