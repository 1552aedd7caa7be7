"""`charrnn sample`: write new text."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from charrnn import plugins
from charrnn.cli.job import Job, current_job
from charrnn.commands.output import Write, opened, refuse_the_model_itself
from charrnn.errors import InputError
from charrnn.files import numbered
from charrnn.options.commands import SampleOptions
from charrnn.say import say
from charrnn.text.vocabulary import as_bytes

if TYPE_CHECKING:
    from charrnn.generation.sampler import Line, Piece, Sampler
    from charrnn.models.trained import Trained
    from charrnn.options.sampling import SamplingParams

OPTIONS = SampleOptions

RULE = "----------"
_SILENT_SECONDS = 2.0
_REPEAT_SECONDS = 5.0


@dataclass
class Text:
    """One text while it is written.

    Attributes:
        sample: its number among those of its seed.
        start: what stands before the new text.
        pieces: of the new text, as they are written.
    """

    asked: SamplingParams
    sample: int
    start: str
    pieces: Iterator[str]


class SampleStep:
    """What an extra does in one call of `charrnn sample`; here nothing, the parts are overridden.

    It is made before anything is written, and raises InputError where it will not be able to do
    its work.
    """

    def write(self, asked: SamplingParams) -> Iterator[Piece] | None:
        """Write as `Sampler.write` does, but in another way; None: in that one."""
        return None

    def write_lines(self, asked: SamplingParams) -> Iterator[Line] | None:
        """Write lines as `write_lines` does, but others; None: those."""
        return None

    def around(self, texts: Iterator[Text]) -> Iterator[Text]:
        """See the texts as they are written."""
        return texts

    def end(self) -> None:
        """Do what is to be done when all is written."""


def run(options: SampleOptions) -> None:
    """Write start_text and the new text to standard output, or to the file `output`.

    Several samples are written side by side and come one after another; the one whose turn
    it is comes as it is written.
    """
    from charrnn.generation.sampler import Sampler, drawn_seed
    from charrnn.models import read_models
    from charrnn.models.trained import with_counts

    job, output = current_job(), options.output
    if output is not None and job.number is not None:
        output = numbered(output, job.number)
    refuse_the_model_itself(output, *_paths(options.checkpoint))
    model = with_counts(read_models(options.checkpoint, options.weights), options.counts)
    sampler = Sampler(model, options.precision)
    made = [part.step(options, sampler) for part in plugins.parts("sample")]
    steps: list[SampleStep] = [step for step in made if step is not None]
    seed = drawn_seed() if options.seed is None else options.seed
    each = _asked(options, _start_text(options, sampler.model), seed)
    if options.mode == "lines":
        texts = _lines(each, [_begun_lines(steps, sampler, a) for a in each], options.json)
    else:
        begun = [_begun(steps, sampler, asked) for asked in each]
        if output is not None or not sys.stdout.isatty():
            total = options.length * options.num_samples * len(each)
            begun = list(_reported(begun, total))
        texts = _samples(each, begun)
    for step in steps:
        texts = step.around(texts)
    if options.seed is None:
        say(f"seed={seed}")

    labels = isinstance(options.temperature, list)
    if options.json:
        with opened(output) as write:
            for text in texts:
                write(json.dumps(_record(text, sampler)) + "\n")
    elif output is None:
        _to_standard_output(texts, labels, job)
    elif labels or (options.num_samples > 1 and options.mode == "text"):
        _to_files(texts, labels, output, options.checkpoint)
    else:
        with opened(output) as write:
            for text in texts:
                _write_all(text, write)
    for step in steps:
        step.end()


def _begun(steps: Iterable[SampleStep], sampler: Sampler, asked: SamplingParams) -> Iterator[Piece]:
    for step in steps:
        if (pieces := step.write(asked)) is not None:
            return pieces
    return sampler.write(asked)


def _begun_lines(
    steps: Iterable[SampleStep], sampler: Sampler, asked: SamplingParams
) -> Iterator[Line]:
    from charrnn.generation.sampler import write_lines

    for step in steps:
        if (lines := step.write_lines(asked)) is not None:
            return lines
    return write_lines(sampler, asked)


def _asked(options: SampleOptions, start_text: str, seed: int) -> list[SamplingParams]:
    """What the sampler is asked for, once for each temperature."""
    several = options.temperature
    temperatures = several if isinstance(several, list) else [several]
    return [replace(options, temperature=t, start_text=start_text, seed=seed) for t in temperatures]


def _start_text(options: SampleOptions, model: Trained) -> str:
    """start_text, or what stands in start_file, its characters looked at."""
    from charrnn.text.prompt import fit_text

    text, name = options.start_text, "start_text"
    if options.start_file is not None:
        from charrnn.text.sources import read_pieces

        name = f"start_file={options.start_file}"
        if os.path.isdir(options.start_file):
            raise InputError(f"{name}: is a folder; name a file with the text")
        text = "".join(read_pieces(options.start_file, model.encoding))
    known, unknown = fit_text(text, model.vocabulary, options.unknown)
    if options.unknown == "error":
        try:
            model.vocabulary.encode(known)
        except InputError as error:
            raise InputError(f"{name}: {error}, or give unknown=skip or replace") from None
    if unknown:
        instead = {
            "error": "reads those of a keyboard instead",
            "skip": "leaves them out",
            "replace": "reads the nearest instead, or leaves out what has none",
        }[options.unknown]
        say(f"{name}: the model does not know {unknown!r} and {instead}")
    return text


def _paths(checkpoint: str | list[str] | None) -> Sequence[str | None]:
    return checkpoint if isinstance(checkpoint, list) else [checkpoint]


# What is written


def _samples(each: Sequence[SamplingParams], begun: Sequence[Iterable[Piece]]) -> Iterator[Text]:
    from charrnn.generation.sampler import in_order

    for asked, pieces in zip(each, begun, strict=True):
        for sample, own in groupby(in_order(pieces), lambda piece: piece.sample):
            yield Text(asked, sample, asked.start_text, (piece.text for piece in own))


def _lines(
    each: Sequence[SamplingParams], begun: Sequence[Iterable[Line]], apart: bool
) -> Iterator[Text]:
    """Each list as one text; or each line, when they are wanted `apart`."""
    for asked, lines in zip(each, begun, strict=True):
        counted = _counted(lines, asked)
        if apart:
            for line in counted:
                new = line.text.removeprefix(asked.start_text)
                yield Text(asked, line.sample, asked.start_text, iter([new]))
        else:
            yield Text(asked, 0, "", (f"{line.text}\n" for line in counted))


def _counted(lines: Iterable[Line], asked: SamplingParams) -> Iterator[Line]:
    """Hand on the lines, and say at the end if there are fewer than were asked for."""
    from charrnn.generation.sampler import GIVES_UP_AFTER

    number = 0
    for line in lines:
        number += 1
        yield line
    if number < asked.num_samples:
        say(
            f"{number} of {asked.num_samples} lines: the last {GIVES_UP_AFTER:,} that the model "
            f"wrote were empty, too long or there already; a higher temperature gives more"
        )


def _record(text: Text, sampler: Sampler) -> dict[str, Any]:
    """What JSON says of a text."""
    new, asked = "".join(text.pieces), text.asked
    shown = [new, text.start]
    if sampler.model.vocabulary.is_bytes:  # characters, where its bytes are some
        shown = [as_bytes(part).decode("utf-8", "surrogateescape") for part in shown]
    return {
        "text": shown[0],
        "start_text": shown[1],
        "seed": asked.seed,
        "sample": text.sample,
        "temperature": asked.temperature if asked.sample else 0,
        "log_probability": sampler.log_probability(asked, new),
    }


def _reported(begun: Sequence[Iterable[Piece]], total: int) -> Iterator[Iterator[Piece]]:
    """Hand on the pieces; on standard error say how far it has come when that takes long."""
    written, due = 0, time.monotonic() + _SILENT_SECONDS

    def reported(pieces: Iterable[Piece]) -> Iterator[Piece]:
        nonlocal written, due
        for piece in pieces:
            written += len(piece.text)
            if time.monotonic() >= due:
                say(f"{written:,} of {total:,} characters")
                due = time.monotonic() + _REPEAT_SECONDS
            yield piece

    yield from map(reported, begun)


# Where to


def _write_all(text: Text, write: Write) -> None:
    write(text.start)
    for piece in text.pieces:
        write(piece)


def _label(text: Text) -> str:
    return f"temperature={text.asked.temperature}"


def _to_standard_output(texts: Iterable[Text], labels: bool, job: Job) -> None:
    """One after another, a line between two; what a list or a sweep differs in stands in it."""
    on_terminal = sys.stdout.isatty()
    with opened(None) as write:
        for number, text in enumerate(texts):
            of_another_job = number == 0 and bool(job.number)
            if number or (of_another_job and not on_terminal):
                write("\n")
            label = " ".join(job.overrides) if job.number is not None else ""
            label = f"{label} {_label(text)}".strip() if labels else label
            if number or label:
                write(f"{RULE} {label}".rstrip() + "\n")
            _write_all(text, write)
        if on_terminal:
            write("\n")


def _to_files(
    texts: Iterable[Text], labels: bool, output: str, checkpoint: str | list[str] | None
) -> None:
    """Each into a file of its own, with its number before the name's ending."""
    for number, text in enumerate(texts):
        path = numbered(output, number)
        refuse_the_model_itself(path, *_paths(checkpoint))
        with opened(path) as write:
            _write_all(text, write)
        say(f"{path}: {_label(text)}" if labels else path)
