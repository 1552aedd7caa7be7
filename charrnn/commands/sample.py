"""`charrnn sample`: write new text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from charrnn import plugins
from charrnn.cli import current_job
from charrnn.commands.output import check_output, write_output
from charrnn.errors import InputError
from charrnn.files import add_number
from charrnn.options.ranges import COUNTS, PATH, TEMPERATURE, WEIGHTS, Paths, Range, one_of, require
from charrnn.options.sampling import SamplingParams
from charrnn.say import ProgressDisplay, escape_unprintable, say
from charrnn.text.vocabulary import as_bytes

if TYPE_CHECKING:
    from charrnn.generation.lines import Line
    from charrnn.generation.sampler import Piece, Sampler
    from charrnn.models.trained import Trained

TEMPERATURES = Range(
    lambda value: (
        value != [] and all(map(TEMPERATURE.accepts, value if isinstance(value, list) else [value]))
    ),
    f"{TEMPERATURE.requirement}; [0.2,0.5] writes with each",
)
NOVEL = Range(
    lambda value: isinstance(value, bool) or value >= 1,
    "must be the largest number of characters that may be copied in a row, 1 or more",
)


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SamplingParams):
    checkpoint: Paths
    weights: Annotated[list[float] | None, WEIGHTS]
    # A list writes a text with each temperature.
    temperature: Annotated[float | list[float], TEMPERATURES]  # type: ignore[assignment]
    start_file: Annotated[str | None, PATH]
    mode: Annotated[str, one_of("text", "lines")]
    counts: Annotated[str, COUNTS]
    json: bool
    output: Annotated[str | None, PATH]
    novel: Annotated[bool | int, NOVEL]
    report: bool
    corpus: Annotated[str | None, PATH]

    def check(self) -> None:
        is_list = self.mode == "lines"
        hint = "must be 1 or more with mode=lines, where it is the longest line"
        require(not is_list or self.length > 0, "length", self.length, hint)
        one_start = self.start_file is None or not self.start_text
        require(one_start, "start_file", self.start_file, "replaces start_text; give only one")
        require(self.output != "-", "output", "-", "leave it out to write to standard output")
        hint = "needs mode=lines; for a text give the length of the longest allowed copy: novel=40"
        require(self.novel is not True or is_list, "novel", "true", hint)
        hint = "is for a text; for mode=lines, novel=true leaves out lines of the training text"
        require(isinstance(self.novel, bool) or not is_list, "novel", self.novel, hint)


OPTIONS = SampleOptions
FIRST_WORD = "checkpoint"


@dataclass
class Text:
    """A text whose pieces are still being written. It iterates over its start and its pieces."""

    params: SamplingParams
    sample: int  # its number among the samples of the same seed
    start: str  # the text before the new text
    pieces: Iterator[str]  # of the new text

    def __iter__(self) -> Iterator[str]:
        yield self.start
        yield from self.pieces


def run(options: SampleOptions) -> None:
    """Write start_text and the new text to standard output, or to the file `output`.

    The sampler computes several samples in parallel. They are printed one after another, and the
    current one is printed while it is written.
    """
    from charrnn.generation.lines import write_lines
    from charrnn.generation.sampler import Sampler, draw_seed
    from charrnn.models.trained import select_counts
    from charrnn.processors import print_device
    from charrnn.runs.model_lookup import read_models

    job, output = current_job.get_number(), options.output
    if output is not None and job is not None:
        output = add_number(output, job)
    model = select_counts(read_models(options.checkpoint, options.weights), options.counts)
    texts_read = [options.start_file, options.corpus, *_list_training_files(model)]
    check = partial(check_output, models=options.checkpoint, texts=texts_read)
    check(output)
    sampler = Sampler(model, options.precision)
    device = sampler.choose_device(options.engine, options.device, options.num_samples)
    novelty = _load_novelty(options, sampler)
    seed = draw_seed() if options.seed is None else options.seed
    start_text = _read_start_text(options, sampler.model)
    labels = isinstance(options.temperature, list)
    temperatures: Any = options.temperature if labels else [options.temperature]
    given: Any = {"start_text": start_text, "seed": seed, "device": device}
    runs = [replace(options, temperature=t, **given) for t in temperatures]
    is_visible = output is None and sys.stdout.isatty()
    progress = ProgressDisplay("writing", unit=" characters", quiet=is_visible)
    # The lists start every writer before the first text, so that errors come before any output.
    is_novel = options.novel is not False
    if options.mode == "lines":
        write = novelty.write_lines if is_novel else partial(write_lines, sampler)
        texts = _join_lines(runs, [write(params) for params in runs], options.json)
    else:
        write_pieces = novelty.write if is_novel else sampler.write
        texts = _split_samples(runs, [write_pieces(params) for params in runs], progress)
    if options.report:
        texts = novelty.copy_texts(texts)
    print_device(device, options.device)
    if options.seed is None:
        say(f"seed={seed}")

    with progress:
        if options.json:
            write_output((json.dumps(_to_dict(text, sampler)) + "\n" for text in texts), output)
        elif output is None:
            write_output(_separate_texts(texts, labels, job))
        elif labels or (options.num_samples > 1 and options.mode == "text"):
            _write_files(texts, labels, output, check)
        else:
            write_output(chain.from_iterable(texts), output)  # a single text
    if options.report:
        novelty.report()


def _list_training_files(model: Trained) -> list[Any]:
    """Return the paths of the model's training text and of its ids, beside which a text lies."""
    h5, json_path = model.facts.get("input_h5"), model.facts.get("input_json")
    return [h5, json_path, str(Path(h5).with_suffix(".txt")) if isinstance(h5, str) else None]


def _load_novelty(options: SampleOptions, sampler: Sampler) -> Any:
    """Return the `Novelty` of the extra novelty, or None if no option needs it."""
    if options.novel is False and not options.report:
        return None
    if (module := next(iter(plugins.import_modules(plugins.SAMPLERS)), None)) is not None:
        return module.Novelty(options, sampler)
    raise InputError("novel, report: this charrnn was installed without them; reinstall charrnn")


def _read_start_text(options: SampleOptions, model: Trained) -> str:
    """Return the start text. Print what the model reads instead of unknown characters."""
    from charrnn.text.prompt import fit_text

    text, name = options.start_text, "start_text"
    if options.start_file is not None:
        from charrnn.text.sources import read_pieces

        name = f"start_file={options.start_file}"
        if os.path.isdir(options.start_file):
            raise InputError(f"{name}: is a folder; name a file with the text")
        text = "".join(read_pieces(options.start_file, model.encoding))
    fitted, unknown = fit_text(text, model.vocabulary, options.unknown)
    if options.unknown == "error":
        try:
            model.vocabulary.encode(fitted)
        except InputError as error:
            raise InputError(f"{name}: {error}, or give unknown=skip or replace") from None
    if unknown:
        action = {
            "error": "reads similar punctuation instead",
            "skip": "reads similar punctuation instead, or skips it",
            "replace": "reads the most similar character instead, or skips it",
        }[options.unknown]
        say(f"{name}: the model does not know {unknown!r} and {action}")
    return text  # unconverted, because the output shows it; the sampler converts it again


def _split_samples(
    runs: Sequence[SamplingParams], streams: Sequence[Iterable[Piece]], progress: ProgressDisplay
) -> Iterator[Text]:
    """Yield each sample as a text."""
    from charrnn.generation.sampler import order_by_sample

    total, done = sum(params.length * params.num_samples for params in runs), 0

    def report(pieces: Iterable[Piece]) -> Iterator[Piece]:
        nonlocal done
        for piece in pieces:
            progress(done := done + len(piece.text), total)
            yield piece

    for params, pieces in zip(runs, streams, strict=True):
        pieces = order_by_sample(report(pieces))
        for sample, group in groupby(pieces, lambda piece: piece.sample):
            yield Text(params, sample, params.start_text, (piece.text for piece in group))


def _join_lines(
    runs: Sequence[SamplingParams], lists: Sequence[Iterable[Line]], one_by_one: bool
) -> Iterator[Text]:
    """Yield each list of lines as a text, or each line as a text."""
    for params, lines in zip(runs, lists, strict=True):
        lines = _report_missing(lines, params)
        if one_by_one:
            for line in lines:
                new = line.text[len(params.start_text) :]
                yield Text(params, line.sample, params.start_text, iter([new]))
        else:
            yield Text(params, 0, "", (f"{line.text}\n" for line in lines))


def _report_missing(lines: Iterable[Line], params: SamplingParams) -> Iterator[Line]:
    """Yield the lines, and print a note at the end if there are fewer than num_samples."""
    from charrnn.generation.lines import MAX_REJECTED

    number = 0
    for line in lines:
        number += 1
        yield line
    if number < params.num_samples:
        say(
            f"{number} of {params.num_samples} lines: the last {MAX_REJECTED:,} that the model "
            f"wrote were empty, too long or not new; a higher temperature gives more"
        )


def _to_dict(text: Text, sampler: Sampler) -> dict[str, Any]:
    """Write the rest of a text, and return its JSON object. Bytes are decoded as UTF-8."""
    new, params = "".join(text.pieces), text.params
    texts = {"text": new, "start_text": text.start}
    if sampler.model.vocabulary.is_bytes:
        texts = {n: as_bytes(t).decode("utf-8", "surrogateescape") for n, t in texts.items()}
    return {
        **texts,
        "seed": params.seed,
        "sample": text.sample,
        "temperature": params.temperature if params.sample else 0,
        "log_probability": sampler.compute_log_prob(params, new),
    }


def _format_label(text: Text) -> str:
    return f"temperature={text.params.temperature}"


def _separate_texts(texts: Iterable[Text], show_labels: bool, job: int | None) -> Iterator[str]:
    """Yield texts with a line before each; the line names the temperature and the sweep's job."""
    on_terminal = sys.stdout.isatty()  # where each job ends with a newline
    for number, text in enumerate(texts):
        if number or (job and not on_terminal):
            yield "\n"
        label = " ".join(current_job.list_overrides()) if job is not None else ""
        label = f"{label} {_format_label(text)}".strip() if show_labels else label
        if number or label:
            yield escape_unprintable(f"---------- {label}".rstrip()) + "\n"
        yield from text
    if on_terminal:
        yield "\n"


def _write_files(
    texts: Iterable[Text], show_labels: bool, output: str, check: Callable[[str], None]
) -> None:
    """Write each text to a file with its number before the extension, if `check` allows it."""
    for number, text in enumerate(texts):
        path = add_number(output, number)
        check(path)
        write_output(text, path)
        say(f"wrote {path}: {_format_label(text)}" if show_labels else f"wrote {path}")
