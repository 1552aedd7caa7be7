"""The thread that reads the prompts and writes the texts of one model, all of them together.

It works in rounds. In each, all prompts that are not read to their end are read on together,
and all texts that are not written to their end are written on together, by a chunk of so many
characters as take a few hundredths of a second. Between two rounds jobs join and leave. So nobody
waits for another's end, and a character costs little more than the engine's own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from charrnn.extras.serve.completion_job import (
    Event,
    Job,
    PromptScored,
    Reading,
    Scored,
    Writing,
    scored,
)
from charrnn.extras.serve.state_cache import StateCache
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Sampler
from charrnn.generation.state import State, beginning, joined, rows_of
from charrnn.generation.stream import write_on
from charrnn.generation.token_sampler import Ids

Outbox = list[tuple[Job, Event]]

_READING_SECONDS = 0.02
_WRITING_SECONDS = 0.05
_LONGEST_CHUNK = 256  # characters; a lone text comes in parts of these
_LOGITS_AT_ONCE = 1 << 24  # that are kept for scores, 64 MB


class QueueFull(Exception):
    """As many completions are waiting as may."""


class Scheduler:
    """Writes for many clients at once.

    Args:
        engine: what writes.
        streams: completions side by side, at most.
        queue: completions that may wait for a place.
        cache_bytes: for the states along the clients' last prompts.
        post: gets each round's events, from the scheduler's thread.

    Attributes:
        read, reused, written: characters so far; of prompts those that were read and those
            whose states were known, and of completions.
    """

    def __init__(
        self,
        sampler: Sampler,
        engine: Engine,
        *,
        streams: int,
        queue: int,
        cache_bytes: int,
        post: Callable[[Outbox], None],
    ) -> None:
        self.streams, self.queue = streams, queue
        self.read = self.reused = self.written = 0
        self._model, self._engine = sampler.model, engine
        self._reader = sampler.engines.reader
        self._post = post
        self._changed = threading.Condition()
        # what other threads touch, with the lock of `_changed`
        self._waiting: deque[Job] = deque()
        self._dropped: set[Job] = set()
        self._stopped = False
        # what this object's thread alone touches
        self._cache = StateCache(cache_bytes)
        self._reading: list[Reading] = []
        self._reading_state: State = beginning(self._model, 0)
        self._writing: list[Writing] = []
        self._writing_state: State = beginning(self._model, 0)
        self._begun: list[tuple[list[Writing], State]] = []
        self._outbox: Outbox = []
        self._reading_pace = _Pace(_READING_SECONDS)
        self._writing_pace = _Pace(_WRITING_SECONDS)
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not written yet stays so."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Ask for completions; the jobs' `receive` gets them.

        Raises:
            QueueFull: too many are waiting; nothing of `jobs` was taken.
        """
        with self._changed:
            # those that wait may be about to take a place that is free
            waiting, asked = self.waiting, sum(job.samples for job in jobs)
            if waiting and self.active + waiting + asked > self.streams + self.queue:
                raise QueueFull
            self._waiting.extend(jobs)
            self._changed.notify()

    def drop(self, jobs: Sequence[Job]) -> None:
        """Nobody wants these any more, whether or not they have ended."""
        with self._changed:
            self._dropped.update(jobs)
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Completions that wait for a place."""
        return sum(job.samples for job in list(self._waiting))

    @property
    def active(self) -> int:
        """Completions that have a place."""
        reading = sum(reading.job.samples for reading in list(self._reading))
        return reading + len(self._writing)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._stopped or self._waiting or self._reading or self._writing):
                    self._dropped.clear()
                    self._changed.wait()
                if self._stopped:
                    return
                dropped, self._dropped = self._dropped, set()
                self._waiting = deque(job for job in self._waiting if job not in dropped)
                joining = self._with_a_place(dropped)
            try:
                self._leave(dropped)
                for job in joining:
                    self._begin(job)
                if self._reading:
                    self._read()
                self._put_in_order()
                if self._writing:
                    self._write()
            except Exception as error:
                self._fail(error, joining)
            self._post(self._outbox)
            self._outbox = []

    def _with_a_place(self, dropped: set[Job]) -> list[Job]:
        """The first of those that wait, as far as there are places."""
        leaving = sum(w.job in dropped for w in self._writing)
        leaving += sum(r.job.samples for r in self._reading if r.job in dropped)
        places, joining = self.streams - self.active + leaving, []
        while self._waiting and self._waiting[0].samples <= places:
            joining.append(self._waiting.popleft())
            places -= joining[-1].samples
        return joining

    def _begin(self, job: Job) -> None:
        trail = self._cache.begin(job.client, job.prompt)
        if job.score_prompt:  # every character is looked at, known or not
            trail.places, trail.states = [], []
        reading = Reading(job, trail)
        state = trail.states[-1] if trail.states else job.state
        self.reused += reading.place
        if reading.left:
            self._reading.append(reading)
            self._reading_state = joined([self._reading_state, state])
        else:
            self._finish_reading(reading, state)

    def _finish_reading(self, reading: Reading, state: State) -> None:
        """Its completions begin, from a state of one stream."""
        job = reading.job
        self._cache.put(job.client, reading.trail)
        if job.score_prompt:
            self._outbox.append((job, PromptScored(reading.scored())))
        texts = [Writing(job, sample, self._model.vocabulary) for sample in range(job.samples)]
        self._outbox += [(job, piece) for text in texts if (piece := text.begin()) is not None]
        going = [text for text in texts if text.left]
        self._begun.append((going, rows_of(state, [0] * len(going))))

    def _put_in_order(self) -> None:
        """Texts just begun are written with the others, those that end together side by side.

        An engine that writes some of them together need not go past their ends.
        """
        if not self._begun:
            return
        texts = [*self._writing, *(text for going, _ in self._begun for text in going)]
        state = joined([self._writing_state, *(state for _, state in self._begun)])
        # the longest first: what is shared out among cores last should be short
        order = sorted(range(len(texts)), key=lambda n: texts[n].left, reverse=True)
        self._writing, self._writing_state = [texts[n] for n in order], rows_of(state, order)
        self._begun = []

    def _leave(self, jobs: set[Job]) -> None:
        if jobs:
            self._keep_reading([n for n, r in enumerate(self._reading) if r.job not in jobs])
            self._keep_writing([n for n, w in enumerate(self._writing) if w.job not in jobs])

    def _keep_reading(self, rows: list[int]) -> None:
        if len(rows) < len(self._reading):
            self._reading = [self._reading[n] for n in rows]
            self._reading_state = rows_of(self._reading_state, rows)

    def _keep_writing(self, rows: list[int]) -> None:
        if len(rows) < len(self._writing):
            self._writing = [self._writing[n] for n in rows]
            self._writing_state = rows_of(self._writing_state, rows)

    def _read(self) -> None:
        """Read all prompts on by a chunk."""
        began = time.perf_counter()
        streams = len(self._reading)
        steps = self._reading_pace.steps(streams)
        steps = min(steps, min(reading.left for reading in self._reading))
        scores = any(reading.job.score_prompt for reading in self._reading)
        if scores:
            steps = self._with_scores(steps, streams)
        ids = np.stack([reading.next(steps) for reading in self._reading])
        if scores:
            logits, state = self._reader.read(ids, self._reading_state)
            for reading, of_reading in zip(self._reading, logits, strict=True):
                reading.score(of_reading)
        else:
            state = self._reader.advance(ids, self._reading_state)
        self._reading_state = state
        self.read += ids.size
        done = []
        for n, reading in enumerate(self._reading):
            reading.place += steps
            if reading.trail.wants(reading.place):
                reading.trail.keep(reading.place, rows_of(state, [n]))
            if not reading.left:
                done.append(n)
        ended = [(self._reading[n], rows_of(state, [n])) for n in done]
        self._keep_reading([n for n in range(len(self._reading)) if n not in done])
        for reading, of_one in ended:
            self._finish_reading(reading, of_one)
        self._reading_pace.note(streams, (time.perf_counter() - began) / steps)

    def _write(self) -> None:
        """Write all texts on by a chunk."""
        began = time.perf_counter()
        lefts = np.array([writing.left for writing in self._writing])
        # not cut to the first of many that ends, which would make another round
        steps = min(self._writing_pace.steps(len(lefts)), int(lefts.max()))
        rows = [n for n, w in enumerate(self._writing) if w.job.likeliest is not None]
        if rows:
            steps = self._with_scores(steps, len(rows))
        last = np.array([writing.stream.last for writing in self._writing])
        before = self._writing_state
        streams = [writing.stream for writing in self._writing]
        ids, self._writing_state = write_on(self._engine, streams, before, steps)
        self.written += int(np.minimum(lefts, steps).sum())
        scores = self._scores(rows, last, ids, before) if rows else {}
        for n, (writing, row) in enumerate(zip(self._writing, ids.tolist(), strict=True)):
            piece = writing.take(row, scores.get(n))
            if piece is not None:
                self._outbox.append((writing.job, piece))
        self._keep_writing([n for n, writing in enumerate(self._writing) if writing.left])
        self._writing_pace.note(len(lefts), (time.perf_counter() - began) / steps)

    def _scores(self, rows: list[int], last: Ids, ids: Ids, before: State) -> dict[int, Scored]:
        """How likely the characters (N, T) of some rows were: the model reads them once more."""
        taken_in = np.concatenate([last[:, None], ids[:, :-1]], axis=1)[rows]
        logits, _ = self._reader.read(taken_in, rows_of(before, rows))
        return {
            n: scored(of_row, ids[n], self._writing[n].job.likeliest or 0)
            for n, of_row in zip(rows, logits, strict=True)
        }

    def _with_scores(self, steps: int, streams: int) -> int:
        """The length of a chunk whose logits are kept."""
        logits = streams * len(self._model.vocabulary)
        return min(steps, max(_LOGITS_AT_ONCE // logits, 1))

    def _fail(self, error: Exception, joining: list[Job]) -> None:
        """Nothing of what is under way can go on."""
        begun = [text.job for going, _ in self._begun for text in going]
        under_way = [r.job for r in self._reading] + [w.job for w in self._writing] + begun
        jobs = dict.fromkeys(joining + under_way)
        self._outbox = [(job, error) for job in jobs]
        self._keep_reading([])
        self._keep_writing([])
        self._begun = []


class _Pace:
    """How many characters a chunk may have, so that it takes no longer than it should.

    Args:
        seconds: that a chunk should take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._streams, self._of_a_step = 1, seconds / 16

    def steps(self, streams: int) -> int:
        """For so many streams, by what the last chunk took.

        More streams take no more than so many times as long as fewer.
        """
        expected = self._of_a_step * max(1.0, streams / self._streams)
        return min(max(int(self._seconds / expected), 1), _LONGEST_CHUNK)

    def note(self, streams: int, of_a_step: float) -> None:
        """The last chunk took so many seconds a character."""
        self._streams, self._of_a_step = streams, of_a_step
