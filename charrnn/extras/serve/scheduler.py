"""The thread that reads the prompts and writes the texts of one model, all of them together.

It works in rounds. In each, all prompts that are not read to their end are read on together,
and all texts that are not written to their end are written on together, by so many characters
as take about a twentieth of a second. Between two rounds jobs join and leave. So nobody
waits for another's end, and a character costs little more than the engine's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from charrnn.errors import RunError
from charrnn.extras.serve.completion_job import (
    READ_TOGETHER,
    Job,
    Piece,
    PromptCache,
    Reading,
    Score,
    Writing,
    scores_of,
)
from charrnn.extras.serve.protocol import Refusal
from charrnn.generation.draw import Ids
from charrnn.generation.engines import Engine, concat_states, select_streams
from charrnn.generation.sampler import Sampler, next_steps, write_next
from charrnn.models.trained import State

Outbox = list[tuple[Job, Piece | Exception]]
Item = TypeVar("Item", Reading, Writing)

_READING_SECONDS = 0.02  # of a round
_LONGEST_CHUNK = 256  # characters; a lone text comes in parts of these
_LOGITS_AT_ONCE = 1 << 24  # that are kept for scores, 64 MB


class Scheduler:
    """Writes for many clients at once.

    Args:
        engine: what writes.
        streams: completions side by side, at most.
        queue: completions that may wait for a place.
    """

    def __init__(self, sampler: Sampler, engine: Engine, *, streams: int, queue: int) -> None:
        self._streams, self._queue = streams, queue
        self._vocabulary, self._engine = sampler.model.vocabulary, engine
        self._reader = sampler.reader
        self._changed = threading.Condition()
        # what other threads touch, with the lock of `_changed`
        self._waiting: deque[Reading] = deque()
        self._dropped: set[Job] = set()
        self._places = streams  # that are free
        self._stopped = False
        # what this object's thread alone touches
        self._cache = PromptCache()
        self._reading: list[Reading] = []
        self._writing: list[Writing] = []
        self._outbox: Outbox = []
        self._steps = 16  # characters of the next chunk

    def start(self, post: Callable[[Outbox], None]) -> None:
        """Begin to write; `post` gets each round's events, from the scheduler's thread."""
        self._thread = threading.Thread(
            target=self._run, args=[post], name="scheduler", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not written yet stays so."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Ask for completions; the job's `receive` gets them.

        Raises:
            Refusal: too many are waiting.
        """
        with self._changed:
            # those that wait may be about to take a place that is free
            waiting = sum(reading.job.request.n for reading in self._waiting)
            if waiting and waiting + job.request.n > self._places + self._queue:
                raise Refusal(429, "too many requests are waiting; try again in a moment")
            self._waiting.append(Reading(job))
            self._changed.notify()

    def drop(self, job: Job) -> None:
        """Nobody wants this any more, whether or not it has ended."""
        with self._changed:
            self._dropped.add(job)
            self._changed.notify()

    def _run(self, post: Callable[[Outbox], None]) -> None:
        while (joining := self._next_round()) is not None:
            for reading in joining:
                reading.begin(self._cache)
            self._reading += joining
            deadline = time.perf_counter() + _READING_SECONDS
            while (unread := [r for r in self._reading if len(r.left)]) and (
                time.perf_counter() < deadline
            ):
                self._step(self._read, unread)
            for reading in [r for r in self._reading if not len(r.left)]:
                self._finish(reading)
            self._step(self._write, self._writing)
            self._writing = [writing for writing in self._writing if writing.left]
            post(self._outbox)
            self._outbox = []

    def _next_round(self) -> list[Reading] | None:
        """Wait until there is something to do, and let jobs leave and join; None: it is over."""
        with self._changed:
            while not (
                self._stopped or self._waiting or self._dropped or self._reading or self._writing
            ):
                self._changed.wait()
            if self._stopped:
                return None
            self._leave(self._dropped)
            self._waiting = deque(r for r in self._waiting if r.job not in self._dropped)
            self._dropped = set()
            taken = sum(reading.job.request.n for reading in self._reading) + len(self._writing)
            self._places = self._streams - taken
            joining = []
            while self._waiting and self._waiting[0].job.request.n <= self._places:
                joining.append(self._waiting.popleft())
                self._places -= joining[-1].job.request.n
            return joining

    def _leave(self, jobs: set[Job]) -> None:
        self._reading = [reading for reading in self._reading if reading.job not in jobs]
        self._writing = [writing for writing in self._writing if writing.job not in jobs]

    def _step(self, step: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> None:
        """Do a step for all at once; if it fails for each by itself, and end the job of a fault."""
        try:
            if items:
                step(items)
        except Exception as error:
            if len(items) > 1:
                for item in items:
                    self._step(step, [item])
                return
            if not isinstance(error, RunError):
                logging.getLogger(__name__).exception("a completion failed")
            self._leave({items[0].job})
            self._outbox.append((items[0].job, error))

    def _read(self, readings: Sequence[Reading]) -> None:
        """Read prompts on to the end of the shortest."""
        steps = min(READ_TOGETHER, *(len(reading.left) for reading in readings))
        ids = np.stack([reading.left[:steps] for reading in readings])
        before = concat_states([reading.state for reading in readings])
        logits: Any = [None] * len(readings)
        if any(reading.wants_scores for reading in readings):
            logits, state = self._reader.read(ids, before)
        else:
            state = self._reader.advance(ids, before)
        for n, reading in enumerate(readings):
            reading.go_on(_row(state, n), steps, logits[n])

    def _finish(self, reading: Reading) -> None:
        """A prompt is read: its completions begin."""
        job = reading.job
        self._cache.keep(reading.prompt.read[:-1], reading.state)
        texts = [Writing(reading, number, self._vocabulary) for number in range(job.request.n)]
        ended = [text.take([], []) for text in texts if not text.left]
        self._outbox += [(job, piece) for piece in ended if piece is not None]
        self._reading.remove(reading)
        self._writing += [text for text in texts if text.left]
        # those that end together side by side, so that an engine that writes some of them together
        # need not go past their ends; the longest first: what is shared out last should be short
        self._writing.sort(key=lambda writing: writing.left, reverse=True)

    def _write(self, writings: Sequence[Writing]) -> None:
        """Write texts on by a chunk."""
        began = time.perf_counter()
        streams = [writing.stream for writing in writings]
        scored = [
            n for n, writing in enumerate(writings) if writing.job.request.logprobs is not None
        ]
        steps = self._steps
        if scored:  # a chunk whose logits are kept
            steps = min(steps, _LOGITS_AT_ONCE // (len(scored) * len(self._vocabulary)) + 1)
        before = concat_states([writing.state for writing in writings])
        last = np.array([stream.last for stream in streams])
        drawn = [stream.uniforms.bit_generator.state for stream in streams]
        try:
            ids, state = write_next(self._engine, streams, before, steps)
            scores = self._scores(writings, scored, last, ids, before)
        except Exception:  # what is tried again draws the same
            for stream, position in zip(streams, drawn, strict=True):
                stream.uniforms.bit_generator.state = position
            raise
        for n, (writing, row) in enumerate(zip(writings, ids.tolist(), strict=True)):
            writing.state = _row(state, n)
            if (piece := writing.take(row, scores.get(n, []))) is not None:
                self._outbox.append((writing.job, piece))
        if ids.shape[1] == self._steps:
            self._steps = min(next_steps(steps, time.perf_counter() - began), _LONGEST_CHUNK)

    def _scores(
        self, writings: Sequence[Writing], rows: list[int], last: Ids, ids: Ids, before: State
    ) -> dict[int, list[Score]]:
        """How likely the characters (N, T) of some rows were: the model reads them once more."""
        if not rows:
            return {}
        taken_in = np.concatenate([last[:, None], ids[:, :-1]], axis=1)[rows]
        logits, _ = self._reader.read(taken_in, select_streams(before, rows))
        return {
            n: scores_of(of_row, ids[n], writings[n].job.request.logprobs or 0)
            for n, of_row in zip(rows, logits, strict=True)
        }


def _row(state: State, n: int) -> State:
    """One stream's, as a view."""
    return [tuple(vectors[n : n + 1] for vectors in layer) for layer in state]
