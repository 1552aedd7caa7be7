"""A list of lines: none empty, none twice, none that is known already."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator
from dataclasses import replace
from typing import NamedTuple

from charrnn.errors import InputError
from charrnn.generation.sampler import NEWLINE, Sampler, drawn_seed, in_order
from charrnn.options.sampling import SamplingParams

# So many lines in a row that cannot be used, and the model is taken to have no more
GIVES_UP_AFTER = 1000
_LEAST_TOGETHER, _MOST_TOGETHER = 16, 256


class Line(NamedTuple):
    """A line, with what start_text begins it, and the number of the sample that it is."""

    text: str
    sample: int


def write_lines(
    sampler: Sampler, options: SamplingParams, known: Container[str] = ()
) -> Iterator[Line]:
    """Write up to `options.num_samples` different lines, each after a newline.

    They are the first samples of the seed that can be used: neither empty nor written before
    nor in `known`, and with an end within `options.length` characters. White space at a line's
    end does not count. It ends early when `GIVES_UP_AFTER` samples in a row cannot be used.

    Raises:
        InputError: at once: `options.until` is given, the model knows no newline, or as
            `Sampler.write`.
        RunError: as `Sampler.write`.
    """
    if NEWLINE not in sampler.model.vocabulary:
        raise InputError("mode=lines: the model knows no newline, so its texts have no lines")
    if options.until is not None:
        raise InputError("until: a line ends where it ends; leave until= or mode=lines out")
    if NEWLINE in options.start_text:
        raise InputError("start_text: begins each line, and has a line break itself; leave it out")
    # one character more, for the newline that ends it
    seed = drawn_seed() if options.seed is None else options.seed
    options = replace(options, until=NEWLINE, length=options.length + 1, seed=seed)
    sampler.write(options, range(0))  # which refuses at once
    return _lines(sampler, options, known)


def _lines(sampler: Sampler, options: SamplingParams, known: Container[str]) -> Iterator[Line]:
    seen: set[str] = set()
    next_sample, useless = 0, 0
    while useless < GIVES_UP_AFTER:
        missing = options.num_samples - len(seen)
        together = min(max(_LEAST_TOGETHER, missing + missing // 4), _MOST_TOGETHER)
        samples = range(next_sample, next_sample + together)
        next_sample = samples.stop
        written = in_order(sampler.write(options, samples), samples.start)
        for sample, pieces in itertools.groupby(written, lambda piece: piece.sample):
            new = "".join(piece.text for piece in pieces)
            line = (options.start_text + new).rstrip()
            useless += 1
            if len(new) < options.length and line and line not in seen and line not in known:
                seen.add(line)
                useless = 0
                yield Line(line, sample)
            if len(seen) == options.num_samples or useless == GIVES_UP_AFTER:
                return
