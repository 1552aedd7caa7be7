"""Continuous batching: one thread per model reads prompts and writes completions in batches.

The thread works in rounds. Each round reads a part of all unread prompts in one batch, and writes
a chunk of some unfinished completions in another. A chunk takes about a twentieth of a second. Jobs
join and leave between two rounds, so a short completion does not wait for a long one. The jobs take
turns for the streams of a round, so a job with many completions does not hold up the others.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from charrnn.errors import RunError
from charrnn.extras.serve.completion_job import (
    CompletionTask,
    Job,
    Piece,
    PromptCache,
    PromptTask,
    Score,
    compute_scores,
)
from charrnn.extras.serve.protocol import Refusal
from charrnn.generation.draw import Ids
from charrnn.generation.engines import Engine, concat_states, select_streams
from charrnn.generation.sampler import Sampler, adjust_chunk_size
from charrnn.generation.streams import write_chunk
from charrnn.models.trained import State

Outbox = list[tuple[Job, Piece | Exception]]
Item = TypeVar("Item", PromptTask, CompletionTask)

_READING_SECONDS = 0.02  # the time for prompts in a round
_MAX_READ_STEPS = 64  # characters of a prompt per call; they take 2 ms with a 2 x 256 network
_MAX_CHUNK = 256  # characters per stream and round
_MAX_LOGITS = 1 << 24  # numbers that are kept to compute scores, 64 MB


class Scheduler:
    """The thread that writes completions for many clients.

    Args:
        streams: the largest number of completions in a batch, and of jobs that have joined.
        queue: the number of completions that may wait for a stream.
    """

    def __init__(self, sampler: Sampler, engine: Engine, *, streams: int, queue: int) -> None:
        self._streams, self._queue = streams, queue
        self._model, self._engine = sampler.model, engine
        self._reader = sampler.reader
        self._changed = threading.Condition()
        # These attributes are shared with other threads, and guarded by the lock of `_changed`.
        self._waiting: deque[PromptTask] = deque()
        self._cancelled: set[Job] = set()
        self._joined = 0  # completions of the jobs that have joined
        self._stopped = False
        # Only the scheduler's thread uses these attributes.
        self._cache = PromptCache()
        self._prompts: list[PromptTask] = []
        self._completions: list[CompletionTask] = []
        self._outbox: Outbox = []
        self._chunk = 16  # the length of the next chunk in characters
        self._read_steps = 16  # the most characters of each prompt in the next call

    def start(self, post: Callable[[Outbox], None]) -> None:
        """Start the thread, which calls `post` with the events of each round."""
        self._thread = threading.Thread(
            target=self._run, args=[post], name="scheduler", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and leave the other completions unfinished."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Put a job into the queue. Raise Refusal if too many completions are waiting."""
        with self._changed:
            waiting = self._joined + _count_completions(self._waiting) - self._streams
            if waiting > 0 and waiting + job.request.n > self._queue:
                raise Refusal(429, "too many requests are waiting; try again in a moment")
            self._waiting.append(PromptTask(job))
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Remove a job, which may have ended."""
        with self._changed:
            self._cancelled.add(job)
            self._changed.notify()

    def _run(self, post: Callable[[Outbox], None]) -> None:
        while (joining := self._wait_for_round()) is not None:
            for task in joining:
                task.skip_cached_prefix(self._cache)
            self._prompts += joining
            deadline = time.perf_counter() + _READING_SECONDS
            while (unread := [task for task in self._prompts if len(task.unread)]) and (
                time.perf_counter() < deadline
            ):
                self._run_step(self._read_prompts, unread)
            for task in [task for task in self._prompts if not len(task.unread)]:
                self._start_completions(task)
            self._run_step(self._write_chunk, self._select_completions())
            self._completions = [task for task in self._completions if task.remaining]
            post(self._outbox)
            self._outbox = []

    def _wait_for_round(self) -> list[PromptTask] | None:
        """Wait for work, remove cancelled jobs, and return the tasks that join; None: stop."""
        with self._changed:
            self._joined = _count_completions(self._prompts) + len(self._completions)
            has_work = bool(self._prompts or self._completions)
            self._changed.wait_for(
                lambda: has_work or self._waiting or self._cancelled or self._stopped
            )
            if self._stopped:
                return None
            self._remove_jobs(self._cancelled)
            self._waiting = deque(t for t in self._waiting if t.job not in self._cancelled)
            self._cancelled = set()
            jobs = {task.job for task in self._prompts} | {task.job for task in self._completions}
            num_joining = min(len(self._waiting), self._streams - len(jobs))
            joining = [self._waiting.popleft() for _ in range(num_joining)]
            self._joined += _count_completions(joining)
            return joining

    def _remove_jobs(self, jobs: set[Job]) -> None:
        self._prompts = [task for task in self._prompts if task.job not in jobs]
        self._completions = [task for task in self._completions if task.job not in jobs]

    def _run_step(self, step: Callable[[Sequence[Item]], None], tasks: Sequence[Item]) -> None:
        """Run a step for all tasks. If it fails, run it for each, and end the jobs that fail."""
        try:
            if tasks:
                step(tasks)
        except Exception as error:
            if len(tasks) > 1:
                for task in tasks:
                    self._run_step(step, [task])
                return
            if not isinstance(error, RunError):
                logging.getLogger(__name__).exception("a completion failed")
            self._remove_jobs({tasks[0].job})
            self._outbox.append((tasks[0].job, error))

    def _read_prompts(self, tasks: Sequence[PromptTask]) -> None:
        """Read the next characters of all prompts, up to the end of the shortest."""
        start_time = time.perf_counter()
        steps = min(self._read_steps, *(len(task.unread) for task in tasks))
        needs_scores = any(task.needs_scores for task in tasks)
        if needs_scores:
            steps = self._limit_logits(steps, len(tasks))
        ids = np.stack([task.unread[:steps] for task in tasks])
        state = concat_states([task.state for task in tasks])
        logits: Any = [None] * len(tasks)
        if needs_scores:
            logits, state = self._reader.read(ids, state)
        else:
            state = self._reader.advance(ids, state)
        for n, task in enumerate(tasks):
            task.advance(_slice_row(state, n), steps, logits[n])
        self._read_steps = _adjust_size(self._read_steps, steps, start_time, _MAX_READ_STEPS)

    def _limit_logits(self, steps: int, streams: int) -> int:
        """Return at most `steps`, so that the logits of these streams fit into memory."""
        return min(steps, _MAX_LOGITS // (streams * len(self._model.vocabulary)) + 1)

    def _start_completions(self, prompt_task: PromptTask) -> None:
        """Replace the task of a prompt by the tasks of its completions."""
        job = prompt_task.job
        self._cache.add(job.prompt.input_ids[:-1], prompt_task.state)
        tasks = [CompletionTask(prompt_task, n, self._model) for n in range(job.request.n)]
        pieces = [task.append([], []) for task in tasks if not task.remaining]
        self._outbox += [(job, piece) for piece in pieces if piece is not None]
        self._prompts.remove(prompt_task)
        self._completions += [task for task in tasks if task.remaining]

    def _select_completions(self) -> list[CompletionTask]:
        """Return the completions of a round: the first of each job, then the second, and so on."""
        turns: defaultdict[Job, itertools.count[int]] = defaultdict(itertools.count)
        by_turn = sorted(self._completions, key=lambda task: next(turns[task.job]))
        # Engines split the batch into groups of neighbours. Neighbours of similar length end
        # together, and the longest tasks come first so that the last group is short.
        selected = by_turn[: self._streams]
        return sorted(selected, key=lambda task: task.remaining, reverse=True)

    def _write_chunk(self, tasks: Sequence[CompletionTask]) -> None:
        """Write the next characters of completions."""
        start_time = time.perf_counter()
        streams = [task.stream for task in tasks]
        scored = [n for n, task in enumerate(tasks) if task.job.request.logprobs is not None]
        steps = self._chunk
        if scored:
            steps = self._limit_logits(steps, len(scored))
        state_before = concat_states([task.state for task in tasks])
        last = np.array([stream.last for stream in streams])
        before = [(stream.uniforms.bit_generator.state, stream.debts) for stream in streams]
        try:
            ids, state = write_chunk(self._engine, streams, state_before, steps)
            scores = self._compute_scores(tasks, scored, last, ids, state_before)
        except Exception:  # `_run_step` tries again, and must write the same text.
            for stream, (rng_state, debts) in zip(streams, before, strict=True):
                stream.uniforms.bit_generator.state, stream.debts = rng_state, debts
            raise
        for n, (task, row) in enumerate(zip(tasks, ids.tolist(), strict=True)):
            task.state = _slice_row(state, n)
            if (piece := task.append(row, scores.get(n, []))) is not None:
                self._outbox.append((task.job, piece))
        self._chunk = _adjust_size(self._chunk, ids.shape[1], start_time, _MAX_CHUNK)

    def _compute_scores(
        self, tasks: Sequence[CompletionTask], rows: list[int], last: Ids, ids: Ids, before: State
    ) -> dict[int, list[Score]]:
        """Read the new ids (N, T) of some rows again, and return the scores of each row."""
        if not rows:
            return {}
        input_ids = np.concatenate([last[:, None], ids[:, :-1]], axis=1)[rows]
        logits, _ = self._reader.read(input_ids, select_streams(before, rows))
        return {
            n: compute_scores(row_logits, ids[n], tasks[n].job.request.logprobs or 0)
            for n, row_logits in zip(rows, logits, strict=True)
        }


def _adjust_size(size: int, steps: int, start_time: float, largest: int) -> int:
    """Return the next size of chunks, after a chunk of this size or, at an end, of fewer steps."""
    adjusted = adjust_chunk_size(steps, time.perf_counter() - start_time)
    return min(adjusted, largest) if steps == size or adjusted < steps else size


def _count_completions(tasks: Iterable[PromptTask]) -> int:
    return sum(task.job.request.n for task in tasks)


def _slice_row(state: State, n: int) -> State:
    """Return a view of the state of one stream."""
    return [tuple(vectors[n : n + 1] for vectors in layer) for layer in state]
