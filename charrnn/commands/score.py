"""`charrnn score`: how surprising a text is to a model, whole, by line or by character."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from charrnn.commands.output import opened
from charrnn.errors import InputError, shown
from charrnn.options.commands import ScoreOptions
from charrnn.say import BITS_PER_NAT, say, scoring_progress

if TYPE_CHECKING:
    from charrnn.evaluation import Score
    from charrnn.models.ensemble import Trained

Losses = npt.NDArray[np.float32]


def run(options: ScoreOptions) -> None:
    """Print bits per character, as lines or as one JSON object."""
    import json

    from charrnn.models.ensemble import read_models, with_counts

    trained = with_counts(read_models(options.checkpoint, options.weights), options.counts)
    text, losses = _scored(options, trained)
    if options.json:
        print(json.dumps(_values(options, text, losses)))
        return
    with opened(None) as write:
        write("".join(f"{line}\n" for line in _lines(options, text, losses)))


def _scored(options: ScoreOptions, trained: Trained) -> tuple[str, Losses]:
    """A text (n,) and its losses (n,) in nats; not a number where a character has none."""
    from charrnn.evaluation import character_losses
    from charrnn.generation.token_sampler import not_numbers
    from charrnn.network_ensemble import any_network_of
    from charrnn.processor import keep_freed_memory

    text, ids = _read(options, trained)
    known = np.flatnonzero(ids >= 0)
    if len(known) < 2:
        raise InputError(
            f"input_txt={shown(options.input_txt)}: has {len(known)} characters that the model "
            f"knows, and a loss needs 2 or more"
        )
    if len(known) < len(ids):
        say(
            f"unknown=skip: {len(ids) - len(known)} of {len(ids)} characters are not among the "
            f"{len(trained.vocabulary)} that the model knows; the rest is scored"
        )
    keep_freed_memory()
    with scoring_progress() as report:
        found = character_losses(any_network_of(trained), ids[known], report=report)
    if not np.isfinite(found).all():
        raise not_numbers()
    losses = np.full(len(text), np.nan, np.float32)
    losses[known[1:]] = found
    return text, losses


def _read(options: ScoreOptions, trained: Trained) -> tuple[str, npt.NDArray[np.int64]]:
    """A text (n,) in the characters of the model, and its ids (n,); -1 for what it lacks."""
    from charrnn.text.preprocessing import read_pieces

    if options.input_txt == "-" and sys.stdin.isatty():
        say("input_txt=-: type or paste the text; Ctrl-D on a line of its own ends it")
    text = "".join(read_pieces(options.input_txt, trained.encoding))
    if options.unknown == "skip":
        return text, trained.vocabulary.look_up(text)
    try:
        return text, trained.vocabulary.encode(text)
    except InputError as error:
        raise InputError(
            f"input_txt={shown(options.input_txt)}: {error}, or give unknown=skip"
        ) from None


def _whole(losses: Losses) -> Score:
    from charrnn.evaluation import Score

    scored = losses[~np.isnan(losses)]
    return Score(float(scored.mean(dtype=np.float64)), len(scored))


def _values(options: ScoreOptions, text: str, losses: Losses) -> dict[str, Any]:
    """What the JSON object holds."""
    from charrnn.evaluation import strangest_first

    score = _whole(losses)
    values: dict[str, Any] = {"characters": score.characters, **score.plain()}
    if options.by == "line":
        values["lines"] = [line._asdict() for line in strangest_first(text, losses)]
    elif options.by == "character":
        values["text"] = text
        values["bits"] = [None if np.isnan(bits) else bits for bits in _bits(losses)]
    return values


def _lines(options: ScoreOptions, text: str, losses: Losses) -> Iterator[str]:
    """What a person reads."""
    from charrnn.evaluation import strangest_first

    if options.by == "line":
        for line in strangest_first(text, losses):
            yield f"{line.bits_per_character:7.3f}  {line.line:>6}  {line.text}"
    elif options.by == "character":
        for character, bits in zip(text, _bits(losses), strict=True):
            yield f"{'' if np.isnan(bits) else f'{bits:.3f}':>7}  {character!r}"
    else:
        score = _whole(losses)
        yield f"text: {score.characters} characters"
        yield from score.lines()


def _bits(losses: Losses) -> list[float]:
    bits: list[float] = (losses.astype(np.float64) * BITS_PER_NAT).tolist()
    return bits
