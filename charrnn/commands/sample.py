"""`charrnn sample`: write new text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

from charrnn import plugins
from charrnn.cli.front import Job, current_job
from charrnn.commands.output import Write, check_output, open_output
from charrnn.errors import InputError
from charrnn.files import add_number
from charrnn.options.ranges import (
    COUNTS,
    PATH,
    TEMPERATURE,
    WEIGHTS,
    Paths,
    Range,
    one_of,
    require,
)
from charrnn.options.sampling import SamplingParams
from charrnn.say import ProgressDisplay, say
from charrnn.text.vocabulary import as_bytes

if TYPE_CHECKING:
    from charrnn.generation.sampler import Line, Piece, Sampler
    from charrnn.models.trained import Trained

TEMPERATURES = Range(
    lambda value: (
        value != [] and all(map(TEMPERATURE.accepts, value if isinstance(value, list) else [value]))
    ),
    f"{TEMPERATURE.requirement}; [0.2,0.5] writes with each",
)


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SamplingParams):
    checkpoint: Paths
    weights: Annotated[list[float] | None, WEIGHTS]
    # several: a text with each
    temperature: Annotated[float | list[float], TEMPERATURES]  # type: ignore[assignment]
    start_file: Annotated[str | None, PATH]
    mode: Annotated[str, one_of("text", "lines")]
    counts: Annotated[str, COUNTS]
    json: bool
    output: Annotated[str | None, PATH]

    def check(self) -> None:
        one_start = self.start_file is None or not self.start_text
        require(one_start, "start_file", self.start_file, "stands in for start_text; give one")
        require(self.output != "-", "output", "-", "without output= the text goes there")


OPTIONS = SampleOptions
FIRST_WORD = "checkpoint"

RULE = "----------"


@dataclass
class Text:
    """One text while it is written.

    Attributes:
        sample: its number among those of its seed.
        start: what stands before the new text.
        pieces: of the new text, as they are written.
    """

    params: SamplingParams
    sample: int
    start: str
    pieces: Iterator[str]


class Writer:
    """What writes in one call of `charrnn sample`; a subclass of an extra changes it by `super()`.

    It is made before anything is written, and raises InputError where it will not be able to do
    its work.
    """

    def __init__(self, options: SampleOptions, sampler: Sampler) -> None:
        self.sampler = sampler

    def write(self, params: SamplingParams) -> Iterator[Piece]:
        """Texts; it refuses at once what it cannot do, as `Sampler.write` does."""
        return self.sampler.write(params)

    def write_lines(self, params: SamplingParams) -> Iterator[Line]:
        """Lines; it refuses at once what it cannot do."""
        from charrnn.generation.sampler import write_lines

        return write_lines(self.sampler, params)

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
    from charrnn.generation.sampler import Sampler, draw_seed
    from charrnn.models.trained import select_counts
    from charrnn.runs.model_lookup import read_models

    job, output = current_job.get(), options.output
    if output is not None and job.number is not None:
        output = add_number(output, job.number)
    check_output(output, *_paths(options.checkpoint))
    model = select_counts(read_models(options.checkpoint, options.weights), options.counts)
    sampler = Sampler(model, options.precision)
    kinds = tuple(part.WRITER for part in plugins.import_modules("sample")) or (Writer,)
    writer: Writer = type("Writer", kinds, {})(options, sampler)
    seed = draw_seed() if options.seed is None else options.seed
    start_text = _start_text(options, sampler.model)
    labels = isinstance(options.temperature, list)
    temperatures: Any = options.temperature if labels else [options.temperature]
    each = [replace(options, temperature=t, start_text=start_text, seed=seed) for t in temperatures]
    is_seen = output is None and sys.stdout.isatty()
    progress = ProgressDisplay("writing", unit=" characters", quiet=is_seen)
    # all begin, and refuse what they cannot do, before the first is written
    if options.mode == "lines":
        texts = _lines(each, [writer.write_lines(params) for params in each], options.json)
    else:
        texts = _samples(each, [writer.write(params) for params in each], progress)
    texts = writer.around(texts)
    if options.seed is None:
        say(f"seed={seed}")

    with progress:
        if options.json:
            with open_output(output) as write:
                for text in texts:
                    write(json.dumps(_record(text, sampler)) + "\n")
        elif output is None:
            _to_standard_output(texts, labels, job)
        elif labels or (options.num_samples > 1 and options.mode == "text"):
            _to_files(texts, labels, output, options.checkpoint)
        else:
            with open_output(output) as write:
                for text in texts:
                    _write_all(text, write)
    writer.end()


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
            "error": "reads the marks that it has instead",
            "skip": "reads the marks that it has instead, or leaves them out",
            "replace": "reads the nearest instead, or leaves out what has none",
        }[options.unknown]
        say(f"{name}: the model does not know {unknown!r} and {instead}")
    return text


def _paths(checkpoint: str | list[str] | None) -> Sequence[str | None]:
    return checkpoint if isinstance(checkpoint, list) else [checkpoint]


# What is written


def _samples(
    each: Sequence[SamplingParams], begun: Sequence[Iterable[Piece]], progress: ProgressDisplay
) -> Iterator[Text]:
    from charrnn.generation.sampler import order_by_sample

    total, done = sum(params.length * params.num_samples for params in each), 0

    def counted(pieces: Iterable[Piece]) -> Iterator[Piece]:
        nonlocal done
        for piece in pieces:
            progress(done := done + len(piece.text), total)
            yield piece

    for params, pieces in zip(each, begun, strict=True):
        pieces = order_by_sample(counted(pieces))
        for sample, own in groupby(pieces, lambda piece: piece.sample):
            yield Text(params, sample, params.start_text, (piece.text for piece in own))


def _lines(
    each: Sequence[SamplingParams], begun: Sequence[Iterable[Line]], one_by_one: bool
) -> Iterator[Text]:
    """Each list as one text; or each line."""
    for params, lines in zip(each, begun, strict=True):
        counted = _counted(lines, params)
        if one_by_one:
            for line in counted:
                new = line.text[len(params.start_text) :]
                yield Text(params, line.sample, params.start_text, iter([new]))
        else:
            yield Text(params, 0, "", (f"{line.text}\n" for line in counted))


def _counted(lines: Iterable[Line], params: SamplingParams) -> Iterator[Line]:
    """Hand on the lines, and say at the end if there are fewer than num_samples."""
    from charrnn.generation.sampler import MAX_REJECTED

    number = 0
    for line in lines:
        number += 1
        yield line
    if number < params.num_samples:
        say(
            f"{number} of {params.num_samples} lines: the last {MAX_REJECTED:,} that the model "
            f"wrote were empty, too long or not new; a higher temperature gives more"
        )


def _record(text: Text, sampler: Sampler) -> dict[str, Any]:
    """What JSON says of a text."""
    new, params = "".join(text.pieces), text.params
    texts = {"text": new, "start_text": text.start}
    if sampler.model.vocabulary.is_bytes:  # characters, where its bytes are some
        texts = {n: as_bytes(t).decode("utf-8", "surrogateescape") for n, t in texts.items()}
    return {
        **texts,
        "seed": params.seed,
        "sample": text.sample,
        "temperature": params.temperature if params.sample else 0,
        "log_probability": sampler.compute_log_prob(params, new),
    }


# Where to


def _write_all(text: Text, write: Write) -> None:
    write(text.start)
    for piece in text.pieces:
        write(piece)


def _label(text: Text) -> str:
    return f"temperature={text.params.temperature}"


def _to_standard_output(texts: Iterable[Text], labels: bool, job: Job) -> None:
    """One after another, a line between two; what a list or a sweep differs in stands in it."""
    on_terminal = sys.stdout.isatty()
    with open_output(None) as write:
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
        path = add_number(output, number)
        check_output(path, *_paths(checkpoint))
        with open_output(path) as write:
            _write_all(text, write)
        say(f"wrote {path}: {_label(text)}" if labels else f"wrote {path}")
