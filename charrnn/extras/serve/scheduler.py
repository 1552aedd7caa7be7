"""Continuous batching: one thread per model does whatever a request costs, a part at a time.

The thread works in rounds. A round runs some blocks of the jobs (they prepare prompts, compare
texts and encode large responses), reads a part of unread prompts in one batch, and writes a chunk
of unfinished completions in another. A chunk takes about a twentieth of a second. All jobs join,
and leave, between two rounds. Each round serves the jobs that have got least, so a short job waits
for no long one, and a job with many completions does not hold up the others.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import numpy as np
from starlette.exceptions import HTTPException

from charrnn.errors import InputError, RunError
from charrnn.extras.serve.completion_job import (
    CompletionJob,
    CompletionTask,
    Job,
    Prompt,
    PromptCache,
    PromptTask,
    Score,
    compute_scores,
)
from charrnn.extras.serve.protocol import Refusal
from charrnn.generation.draw import Ids
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Sampler, adjust_chunk_size
from charrnn.generation.streams import write_chunk
from charrnn.models.trained import State, concat_states, select_streams

Outbox = list[tuple[Job, Any]]  # results, pieces, or the error that ends a job
Item = TypeVar("Item", PromptTask, CompletionTask)

_BLOCKS_SECONDS = _READING_SECONDS = 0.02  # the time for blocks and for prompts in a round
_MAX_READ_STEPS = 64  # characters of a prompt per call; they take 2 ms with a 2 x 256 network
_BLOCK_STEPS = 16  # characters of a prompt per block
_MAX_CHUNK = 256  # characters per stream and round
_MAX_LOGITS = 1 << 24  # numbers that are kept to compute scores, 64 MB


class Scheduler:
    """The thread that works for many clients; `streams` is the largest size of a batch."""

    def __init__(self, sampler: Sampler, engine: Engine, *, streams: int) -> None:
        self._streams = streams
        self._model, self._engine = sampler.model, engine
        self._reader = sampler.reader
        self._changed = threading.Condition()
        # These attributes are shared with other threads, and guarded by the lock of `_changed`.
        self._joining: list[Job] = []
        self._cancelled: set[Job] = set()
        self._stopped = False
        # Only the scheduler's thread uses these attributes.
        self._cache = PromptCache()
        self._jobs: list[Job] = []  # whose blocks are not done
        self._prompts: list[PromptTask] = []
        self._completions: list[CompletionTask] = []
        self._outbox: Outbox = []
        self._chunk = 16  # the length of the next chunk in characters
        self._read_steps = 16  # the most characters of each prompt in the next call

    def start(self, post: Callable[[Outbox], None]) -> None:
        """Start the thread, which calls `post` with the events of each round."""
        self.post = post
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

    async def run(self, blocks: Generator[None, None, bytes]) -> bytes:
        """Return the result of blocks. The thread drops their rest if the caller is cancelled."""
        done: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.submit(job := Job(blocks, done.put_nowait))
        try:
            result = await done.get()
        finally:
            self.cancel(job)
        if isinstance(result, Exception):
            raise result
        return result

    def read_prompt(self, prompt: Prompt) -> Generator[None, None, State]:
        """Return the state before the last character of a prompt. Run it in a job's blocks."""
        ids, state, start = prompt.input_ids[:-1], prompt.state, 0
        if (prefix := self._cache.find_longest_prefix(ids)) is not None:
            start, state = prefix
        for place in range(start, len(ids), _BLOCK_STEPS):
            state = self._reader.advance(ids[None, place : place + _BLOCK_STEPS], state)
            yield
        self._cache.add(ids, state)
        return state

    def submit(self, job: Job) -> None:
        """Add a job, which joins at the next round."""
        with self._changed:
            self._joining.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Remove a job, which may have ended."""
        with self._changed:
            self._cancelled.add(job)
            self._changed.notify()

    def _run(self, post: Callable[[Outbox], None]) -> None:
        while self._wait_for_round():
            deadline = time.perf_counter() + _BLOCKS_SECONDS
            while self._jobs and time.perf_counter() < deadline:
                self._run_block(min(self._jobs, key=lambda job: job.seconds))
            deadline = time.perf_counter() + _READING_SECONDS
            while (unread := self._select_prompts()) and time.perf_counter() < deadline:
                self._run_step(self._read_prompts, unread)
            for task in [task for task in self._prompts if not len(task.unread)]:
                self._start_completions(task)
            self._run_step(self._write_chunk, self._select_completions())
            self._completions = [task for task in self._completions if task.remaining]
            post(self._outbox)
            self._outbox = []

    def _wait_for_round(self) -> bool:
        """Wait for work, and let jobs join and leave. Return False when the thread must end."""
        with self._changed:
            has_work = bool(self._jobs or self._prompts or self._completions)
            self._changed.wait_for(
                lambda: has_work or self._joining or self._cancelled or self._stopped
            )
            self._jobs += self._joining
            self._remove_jobs(self._cancelled)
            self._joining, self._cancelled = [], set()
            return not self._stopped

    def _remove_jobs(self, jobs: set[Job]) -> None:
        self._jobs = [job for job in self._jobs if job not in jobs]
        self._prompts = [task for task in self._prompts if task.job not in jobs]
        self._completions = [task for task in self._completions if task.job not in jobs]

    def _run_block(self, job: Job) -> None:
        """Run the next block of a job; after the last, post its result, and read its prompt."""
        start_time = time.perf_counter()
        try:
            next(job.blocks)
        except StopIteration as end:
            self._jobs.remove(job)
            self._outbox.append((job, end.value))
            if isinstance(job, CompletionJob):
                task = PromptTask(job, end.value)
                task.skip_cached_prefix(self._cache)
                self._prompts.append(task)
        except Exception as error:
            self._fail(job, error)
        job.seconds += time.perf_counter() - start_time

    def _fail(self, job: Job, error: Exception) -> None:
        """End a job with an error that its client may read."""
        self._remove_jobs({job})
        if isinstance(error, RunError):
            error = Refusal(500, str(error))
        elif not isinstance(error, InputError | HTTPException):
            logging.getLogger(__name__).error("a request failed", exc_info=error)
            error = Refusal(500, "internal server error; see the log of the server")
        self._outbox.append((job, error))

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
            self._fail(tasks[0].job, error)

    def _select_prompts(self) -> list[PromptTask]:
        """Return the unread prompts of a batch: those of which least is read."""
        unread = [task for task in self._prompts if len(task.unread)]
        return sorted(unread, key=lambda task: task.num_read)[: self._streams]

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
            task.advance(select_streams(state, slice(n, n + 1)), steps, logits[n])
        self._read_steps = _adjust_size(self._read_steps, steps, start_time, _MAX_READ_STEPS)

    def _limit_logits(self, steps: int, streams: int) -> int:
        """Return at most `steps`, so that the logits of these streams fit into memory."""
        return min(steps, _MAX_LOGITS // (streams * len(self._model.vocabulary)) + 1)

    def _start_completions(self, prompt_task: PromptTask) -> None:
        """Replace the task of a prompt by the tasks of its completions."""
        job = prompt_task.job
        self._cache.add(prompt_task.prompt.input_ids[:-1], prompt_task.state)
        tasks = [CompletionTask(prompt_task, n, self._model) for n in range(job.request.n)]
        pieces = [task.append([], []) for task in tasks if not task.remaining]
        self._outbox += [(job, piece) for piece in pieces if piece is not None]
        self._prompts.remove(prompt_task)
        self._completions += [task for task in tasks if task.remaining]

    def _select_completions(self) -> list[CompletionTask]:
        """Return the completions of a round: those of the jobs for which least is written.

        A job's second completion counts as if a chunk of the first were written, and so on.
        """
        turns: defaultdict[Job, itertools.count[int]] = defaultdict(itertools.count)
        by_share = sorted(
            self._completions,
            key=lambda task: task.job.num_written + next(turns[task.job]) * self._chunk,
        )
        return by_share[: self._streams]

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
            task.state = select_streams(state, slice(n, n + 1))
            task.job.num_written += len(row)
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
