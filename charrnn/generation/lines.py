"""Write a list: different lines, each of which is complete and new."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from typing import NamedTuple

from charrnn.errors import InputError
from charrnn.generation.debts import NEWLINE
from charrnn.generation.sampler import Sampler, draw_seed, group_by_sample
from charrnn.options.sampling import SamplingParams
from charrnn.say import say

MAX_REJECTED = 1000  # unusable lines in a row, after which the model is taken to have no more
_MIN_LINES, _MAX_LINES = 16, 256  # of a batch


class Line(NamedTuple):
    """A line, including start_text, and the number of its sample."""

    text: str
    sample: int


def write_lines(
    sampler: Sampler, params: SamplingParams, known: Container[str] = ()
) -> Iterator[Line]:
    """Write up to `params.num_samples` different lines, each after a newline.

    The lines are the first usable samples of the seed: not empty, new, not in `known`, and complete
    within `params.length` characters. White space at the end of a line is removed. After
    `MAX_REJECTED` unusable samples in a row, no more lines are written, and a message says so.

    Args:
        known: lines in the vocabulary's characters.

    Raises:
        InputError: immediately: `params.until` is set, the model knows no newline, or as
            `Sampler.write`.
        RunError: as `Sampler.write`.
    """
    if NEWLINE not in sampler.model.vocabulary:
        raise InputError(
            "mode=lines: the model knows no newline; train on a text with one entry in each line"
        )
    if params.until is not None:
        raise InputError("until: a line ends at its newline; leave until= or mode=lines out")
    if NEWLINE in params.start_text:
        raise InputError("start_text: starts each line, so it must not contain a line break")
    seed = draw_seed() if params.seed is None else params.seed
    # The newline at the end is one more character.
    params = replace(params, until=NEWLINE, length=params.length + 1, seed=seed)
    sampler.write(params, range(0))  # Raises InputError for wrong parameters.

    def write_usable() -> Iterator[Line]:
        seen: set[str] = set()
        next_sample, num_rejected = 0, 0
        while num_rejected < MAX_REJECTED:
            missing = params.num_samples - len(seen)
            batch_size = min(max(_MIN_LINES, missing + missing // 4), _MAX_LINES)
            samples = range(next_sample, next_sample + batch_size)
            next_sample = samples.stop
            pieces = sampler.write(params, samples)
            for sample, text in group_by_sample(pieces, samples.start):
                new = "".join(text)
                line = (params.start_text + new).rstrip()
                is_known = sampler.model.vocabulary.as_tokens(line) in known
                num_rejected += 1
                if len(new) < params.length and line and line not in seen and not is_known:
                    seen.add(line)
                    num_rejected = 0
                    yield Line(line, sample)
                if len(seen) == params.num_samples:
                    return
                if num_rejected == MAX_REJECTED:
                    break
        found = f"found {len(seen):,} of {params.num_samples:,} lines"
        say(f"mode=lines: {found}; {MAX_REJECTED:,} tries in a row gave no new one")

    return write_usable()
