"""`charrnn evaluate`: the loss of a model on a split or a text, whole, by line or character."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt

from charrnn.commands.output import opened
from charrnn.errors import InputError
from charrnn.options.datasets import SourceOptions
from charrnn.options.ranges import (
    AT_LEAST_1,
    COUNTS,
    WEIGHTS,
    Paths,
    one_of,
    require,
)
from charrnn.say import BITS_PER_NAT, ProgressDisplay, say

if TYPE_CHECKING:
    from charrnn.data import Ids, SplitIds
    from charrnn.evaluation.losses import Score
    from charrnn.models.trained import Trained


@dataclass
class EvaluateOptions:
    checkpoint: Paths
    weights: Annotated[list[float] | None, WEIGHTS]
    split: Annotated[str, one_of("train", "val", "test")]
    data: SourceOptions
    unknown: Annotated[str, one_of("error", "skip")]
    counts: Annotated[str, COUNTS]
    window: Annotated[int | None, AT_LEAST_1]
    by: Annotated[str, one_of("text", "line", "character")]
    json: bool

    def check(self) -> None:
        require(
            self.window is None or self.by == "text",
            "window",
            self.window,
            f"by={self.by} scores one stream; give one",
        )


OPTIONS = EvaluateOptions
FIRST_WORD = "checkpoint"

Losses = npt.NDArray[np.float32]


def run(options: EvaluateOptions) -> None:
    """Print the loss, as lines or as one JSON object."""
    from charrnn.models.trained import with_counts
    from charrnn.runs.freed_memory import keep_freed_memory
    from charrnn.runs.model_lookup import read_models

    keep_freed_memory()
    trained = with_counts(read_models(options.checkpoint, options.weights), options.counts)
    if options.data.input_txt == "-" and sys.stdin.isatty():
        say("data.input_txt=-: type or paste the text; Ctrl-D on a line of its own ends it")
    if options.by != "text":
        _print_each(options, trained)
        return
    split, ids = _ids(options, trained)
    score = _scored(options, trained, split, ids, ids.unknown)
    members = len(trained.members)
    name = f"ensemble of {members}" if members > 1 else ""
    if options.json:
        values: dict[str, Any] = {
            "split": split,
            "characters": score.characters,
            **({"unknown": ids.unknown} if options.unknown == "skip" else {}),
            **({"model": name} if name else {}),
            **({} if options.window is None else {"window": options.window}),
            **score.plain(),
        }
        print(json.dumps(values))
        return
    how = "" if options.window is None else f", in cold windows of {options.window}"
    how += f", {name}" if name else ""
    print(f"{split}: {score.characters} characters{how}")
    print("\n".join(score.lines()))


def _scored(
    options: EvaluateOptions,
    trained: Trained,
    split: str,
    ids: Ids | SplitIds,
    unknown: int,
    each: Losses | None = None,
) -> Score:
    """The loss of ids (n,); `each` (n - 1,) is filled with those of the characters."""
    from charrnn.evaluation.losses import require_numbers
    from charrnn.evaluation.stream_losses import stream_loss, windows_loss
    from charrnn.networks.network_ensemble import any_network_of

    if len(ids) < 2:
        where = "data.input_txt" if split == "text" else f"split={split}"
        raise InputError(
            f"{where}: has {len(ids)} characters that the model knows, and a loss needs 2 or more"
        )
    if unknown:
        say(
            f"unknown=skip: {unknown} of {unknown + len(ids)} characters are not among the "
            f"{len(trained.vocabulary)} that the model knows; the rest is scored"
        )
    network = any_network_of(trained)
    with ProgressDisplay("scoring", unit=" characters") as report:
        if options.window is None:
            return require_numbers(stream_loss(network, ids, report=report, each=each))
        return require_numbers(windows_loss(network, ids, options.window, report=report))


# -- by line and by character --------------------------------------------------------


def _print_each(options: EvaluateOptions, trained: Trained) -> None:
    """Print bits per character, the worst predicted lines first, or character by character."""
    from charrnn.evaluation.losses import worst_predicted_first

    split, text, ids, unknown = _text(options, trained)
    known = np.flatnonzero(ids >= 0)
    found = np.empty(max(0, len(known) - 1), np.float32)
    score = _scored(options, trained, split, ids[known], unknown, found)
    losses = np.full(len(text), np.nan, np.float32)
    losses[known[1:]] = found
    if options.json:
        each: dict[str, Any] = (
            {"lines": [line._asdict() for line in worst_predicted_first(text, losses)]}
            if options.by == "line"
            else {"text": text, "bits": [None if np.isnan(b) else b for b in _bits(losses)]}
        )
        print(json.dumps({"split": split, "characters": score.characters, **score.plain(), **each}))
        return
    with opened(None) as write:
        write("".join(f"{line}\n" for line in _lines(options, text, losses)))


def _lines(options: EvaluateOptions, text: str, losses: Losses) -> Iterator[str]:
    from charrnn.evaluation.losses import worst_predicted_first

    if options.by == "line":
        for line in worst_predicted_first(text, losses):
            yield f"{line.bits_per_character:7.3f}  {line.line:>6}  {line.text}"
        return
    for character, bits in zip(text, _bits(losses), strict=True):
        yield f"{'' if np.isnan(bits) else f'{bits:.3f}':>7}  {character!r}"


def _bits(losses: Losses) -> list[float]:
    bits: list[float] = (losses.astype(np.float64) * BITS_PER_NAT).tolist()
    return bits


# -- the text ------------------------------------------------------------------------


def _text(options: EvaluateOptions, trained: Trained) -> tuple[str, str, Ids, int]:
    """What is scored, its text (n,), its ids (n,), and how many are unknown, which are -1 there."""
    from charrnn.text.sources import read_pieces

    source = options.data.input_txt
    if source is not None and options.unknown == "skip":
        text = "".join(read_pieces(source, trained.encoding))
        ids = trained.vocabulary.look_up(text)
        return "text", text, ids, int((ids < 0).sum())
    split, read = _ids(options, trained)
    return split, trained.vocabulary.decode(read[:].tolist()), read[:], read.unknown


def _ids(options: EvaluateOptions, trained: Trained) -> tuple[str, SplitIds]:
    """What is scored, and its ids (n,) in the model's vocabulary."""
    from charrnn.data import encoded_text, open_data, training_data, translated

    data, skip = options.data, options.unknown == "skip"
    if data.input_txt is not None:
        ids = encoded_text(data.input_txt, trained.encoding, trained.vocabulary, skip=skip)
        return "text", ids
    if data.input_h5 is not None and data.input_json is not None:
        encoded = open_data(Path(data.input_h5), Path(data.input_json))
    else:
        try:
            encoded = training_data(trained.facts)
        except InputError as error:
            raise InputError(f"split={options.split}: {error}; or give data.input_txt=") from None
    return options.split, translated(encoded, options.split, trained.vocabulary, skip=skip)
