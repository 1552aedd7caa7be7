"""The scheduler alone: what is written together is what the sampler writes alone."""

from __future__ import annotations

import queue
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from charrnn.errors import RunError
from charrnn.extras.serve.completion_job import Event, Job, Piece, PromptScored, Scored, joined
from charrnn.extras.serve.scheduler import Outbox, QueueFull, Scheduler
from charrnn.generation.engines import Engine
from charrnn.generation.sampler import Sampler
from charrnn.generation.state import State
from charrnn.generation.token_sampler import Floats, Ids, Params
from charrnn.model import Model
from charrnn.options.sampling import SamplingParams
from charrnn.text.primer import FACT, primer_of
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

SAMPLING = [field.name for field in fields(SamplingParams) if field.name != "seed"]

MODEL = Model(replace(trained_model(), facts={FACT: "Before all,\nthere was this.\n"}))
SAMPLER = Sampler(MODEL.trained)


def deliver(outbox: Outbox) -> None:
    for job, event in outbox:
        job.receive(event)


@contextmanager
def running(
    sampler: Sampler = SAMPLER, engine: Engine | None = None, **limits: int
) -> Iterator[Scheduler]:
    sizes: dict[str, Any] = {"streams": 8, "queue": 100, "cache_bytes": 1 << 20, **limits}
    scheduler = Scheduler(sampler, engine or sampler.engines.numpy, post=deliver, **sizes)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()


class Asked:
    """A job and what comes of it."""

    def __init__(self, prompt: str = "Hm: ", model: Model = MODEL, **how: Any) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        ids, state = Sampler(model.trained).known(prompt)
        sampling = {name: how.pop(name) for name in SAMPLING if name in how}
        params = SamplingParams(**{"length": 16, **sampling})
        self.job = Job(prompt=ids, state=state, receive=self.events.put, params=params, **how)
        self.texts = [""] * self.job.samples
        self.scored: list[list[Scored]] = [[] for _ in self.texts]
        self.finish: list[str | None] = [None] * self.job.samples
        self.pieces = 0
        self.prompt_scored: Scored | None = None

    def next(self) -> Event:
        event = self.events.get(timeout=30)
        if isinstance(event, Exception):
            raise event
        if isinstance(event, PromptScored):
            self.prompt_scored = event.scored
        else:
            self._take(event)
        return event

    def _take(self, piece: Piece) -> None:
        assert self.finish[piece.sample] is None
        self.texts[piece.sample] += piece.text
        self.finish[piece.sample] = piece.finish
        self.pieces += 1
        if piece.scored is not None:
            assert len(piece.scored.ids) == len(piece.text)
            self.scored[piece.sample].append(piece.scored)

    def whole(self) -> list[str]:
        while None in self.finish:
            self.next()
        return self.texts


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_whatever_comes_together_each_gets_its_own_text(engine: str) -> None:
    if engine == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    numbers = random.Random(1)
    asked, expected = [], []
    with running(engine=SAMPLER.engines.named(engine)) as scheduler:
        for seed in range(40):
            prompt = "".join(numbers.choices("abc de.\n", k=numbers.choice([0, 1, 7, 300])))
            length, samples = numbers.choice([0, 1, 30, 400]), numbers.choice([1, 1, 3])
            temperature = numbers.choice([0, 0.5, 1.0, 2.0])
            top_k = numbers.choice([None, 3])
            until = numbers.choice([None, "e", "tt"])
            asked.append(
                Asked(
                    prompt, samples=samples, length=length, seed=seed,
                    temperature=temperature, top_k=top_k, stop=(until,) if until else (),
                    streamed=numbers.random() < 0.5, client=str(seed % 3),
                )
            )  # fmt: skip
            expected.append(
                MODEL.generate(
                    length, prompt, num_samples=samples, seed=seed, temperature=temperature,
                    top_k=top_k, until=until, engine="numpy",
                )
            )  # fmt: skip
            scheduler.submit([asked[-1].job])
            if numbers.random() < 0.3:
                asked[-1].whole()
        assert [one.whole() for one in asked] == expected
        assert scheduler.active == scheduler.waiting == 0
    finished = [finish for one in asked for finish in one.finish]
    assert {"stop", "length"} == set(finished)


def test_a_stream_comes_in_pieces_and_a_whole_in_one() -> None:
    with running() as scheduler:
        whole, streamed = (Asked(length=2000, streamed=s) for s in (False, True))
        scheduler.submit([whole.job, streamed.job])
        assert whole.whole() == streamed.whole()
        assert whole.pieces == 1
        assert streamed.pieces > 3


def test_the_scores_are_the_models() -> None:
    prompt, logits = "Hm: and", MODEL.logits
    with running() as scheduler:
        one = Asked(
            prompt, length=70, samples=2, likeliest=3, score_prompt=True, streamed=True,
            stop=("e.", "q"),
        )  # fmt: skip
        scheduler.submit([one.job])
        texts = one.whole()
    assert one.prompt_scored is not None
    for text, parts in zip(texts, one.scored, strict=True):
        whole = joined([one.prompt_scored, *parts])
        primed = MODEL.vocabulary.decode(primer_of(MODEL.trained.facts, MODEL.vocabulary))
        scores = logits(primed + prompt + text)[len(primed) - 1 : -1].astype(np.float64)
        scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
        ids = MODEL.vocabulary.encode(prompt + text)
        assert whole.ids == ids.tolist()
        np.testing.assert_allclose(whole.logprobs, scores[np.arange(len(ids)), ids], atol=1e-4)
        for row, pairs in zip(scores, whole.likeliest, strict=True):
            assert [value for _, value in pairs] == pytest.approx(sorted(row)[:-4:-1], abs=1e-4)


def test_a_first_character_drawn_evenly() -> None:
    model = Model(trained_model(vocabulary=Vocabulary(list("abc"))))
    sampler = Sampler(model.trained)
    with running(sampler) as scheduler:
        one = Asked("", model, seed=5, samples=3, length=20, likeliest=1, ban="b")
        scheduler.submit([one.job])
        assert one.whole() == model.generate(20, seed=5, num_samples=3, ban="b")
    assert one.scored[0][0].logprobs[0] == pytest.approx(-np.log(3))


def test_a_shared_beginning_is_not_read_again() -> None:
    prompt = "the same beginning, " * 20
    with running() as scheduler:
        for client, end, read in (("a", "", 400), ("a", "and more", 8), ("b", "", 400)):
            before = scheduler.read
            one = Asked(prompt + end, client=client, length=50, seed=3)
            scheduler.submit([one.job])
            expected = MODEL.generate(50, prompt + end, seed=3, engine="numpy")
            assert one.whole() == [expected]
            assert scheduler.read - before == read
        assert scheduler.reused == 400


def test_dropped_jobs_give_their_places_away() -> None:
    with running(streams=2) as scheduler:
        endless = [Asked(length=10**9, streamed=True) for _ in range(2)]
        scheduler.submit([one.job for one in endless])
        endless[0].next()
        waiting = [Asked(length=10**9), Asked(length=30, seed=1)]
        scheduler.submit([one.job for one in waiting])
        assert (scheduler.active, scheduler.waiting) == (2, 2)
        scheduler.drop([waiting[0].job, endless[1].job])
        assert waiting[1].whole() == [MODEL.generate(30, "Hm: ", seed=1)]
        assert scheduler.active == 1
        scheduler.drop([endless[0].job])


def test_a_full_queue_takes_nothing_more() -> None:
    with running(streams=2, queue=3) as scheduler:
        endless = Asked(length=10**9, samples=2, streamed=True)
        scheduler.submit([endless.job])
        endless.next()
        scheduler.submit([Asked(samples=2).job])
        with pytest.raises(QueueFull):
            scheduler.submit([Asked().job, Asked().job])
        scheduler.submit([Asked().job])
        assert scheduler.waiting == 3
        scheduler.drop([endless.job])


def test_a_failure_reaches_all_and_the_next_are_served() -> None:
    class Failing:
        fails = True

        def write(
            self,
            ids: Ids,
            state: State,
            uniforms: Floats,
            params: Params,
            needed: Ids | None = None,
            texts: Sequence[Ids] | None = None,
        ) -> tuple[Ids, State]:
            if self.fails:
                raise RunError("not numbers")
            return SAMPLER.engines.numpy.write(ids, state, uniforms, params, needed, texts)

    engine = Failing()
    with running(engine=engine) as scheduler:
        failing = [Asked(), Asked(samples=3)]
        scheduler.submit([one.job for one in failing])
        for one in failing:
            with pytest.raises(RunError):
                one.whole()
        engine.fails = False
        again = Asked(length=10, seed=2)
        scheduler.submit([again.job])
        assert again.whole() == [MODEL.generate(10, "Hm: ", seed=2)]
