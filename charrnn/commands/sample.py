"""`charrnn sample`: write new text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from charrnn import plugins
from charrnn.cli import current_job
from charrnn.commands.output import check_output, write_output
from charrnn.errors import InputError
from charrnn.options.ranges import COUNTS, PATH, Range, one_of, require
from charrnn.options.sampling import SamplingParams
from charrnn.say import escape_unprintable, say
from charrnn.text.vocabulary import Vocabulary, as_bytes

if TYPE_CHECKING:
    from charrnn.generation.lines import Line
    from charrnn.generation.sampler import Piece, Sampler
    from charrnn.models.trained import TrainedModel

NOVEL = Range(
    lambda value: isinstance(value, bool) or value >= 1,
    "must be the largest number of characters that may be copied in a row, 1 or more",
)


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SamplingParams):
    checkpoint: Annotated[str | None, PATH]
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
    from charrnn.runs.model_lookup import find_model, read_model

    job, output = current_job.get_number(), options.output
    if output is not None and job is not None:
        stem, suffix = os.path.splitext(output)
        output = f"{stem}-{job}{suffix}"  # so that no job replaces the text of another
    file = find_model(options.checkpoint)
    model = select_counts(read_model(file), options.counts, options.plain)
    texts_read = [options.start_file, options.corpus, *_list_training_files(model)]
    check_output(output, file, *texts_read)
    sampler = Sampler(model)
    device = sampler.choose_device(options.device, options.num_samples)
    novelty = _load_novelty(options, sampler)
    seed = draw_seed() if options.seed is None else options.seed
    start_text = _read_start_text(options, model)
    params = replace(options, start_text=start_text, seed=seed, device=device)
    is_novel = options.novel is not False
    if options.mode == "lines":
        write = novelty.write_lines if is_novel else partial(write_lines, sampler)
        texts = _join_lines(params, write(params), options.json)
    else:
        write_pieces = novelty.write if is_novel else sampler.write
        texts = _split_samples(params, write_pieces(params))
    if options.report:
        texts = novelty.copy_texts(texts)
    if options.seed is None:
        say(f"seed={seed}")

    if options.json:
        objects = (_to_dict(text, params, model.vocabulary) for text in texts)
        write_output((json.dumps(each) + "\n" for each in objects), output)
    else:
        is_visible = output is None and sys.stdout.isatty()
        pieces = _separate_texts(texts, job if output is None else None, is_visible)
        write_output(pieces, output)
    if options.report:
        novelty.report()


def _list_training_files(model: TrainedModel) -> list[Path]:
    """Return the paths of the model's training text and of its ids, beside which a text lies."""
    names = [model.facts.get(name) for name in ("input_txt", "input_h5", "input_json")]
    names = [*names, *(names[0] if isinstance(names[0], list) else ())]
    files = [Path(name) for name in names if isinstance(name, str)]
    return [*files, *(file.with_suffix(".txt") for file in files)]


def _load_novelty(options: SampleOptions, sampler: Sampler) -> Any:
    """Return the `Novelty` of the extra novelty, or None if no option needs it."""
    if options.novel is False and not options.report:
        return None
    if (module := next(iter(plugins.import_modules(plugins.SAMPLERS)), None)) is not None:
        return module.Novelty(options, sampler)
    raise InputError("novel, report: this charrnn was installed without them; reinstall charrnn")


def _read_start_text(options: SampleOptions, model: TrainedModel) -> str:
    """Return the start text. Print what the model reads instead of unknown characters."""
    from charrnn.text.prompt import fit_text

    text, name = options.start_text, "start_text"
    if options.start_file is not None:
        from charrnn.text.sources import read_pieces

        name = f"start_file={options.start_file}"
        text = "".join(read_pieces(options.start_file, model.encoding))
    fitted, unknown = fit_text(text, model.vocabulary, options.unknown)
    if options.unknown == "error":
        try:
            model.vocabulary.encode(fitted)
        except InputError as error:
            raise InputError(f"{name}: {error}, or give unknown=skip or replace") from None
    if unknown:
        action = "reads similar characters instead, or skips it"
        say(f"{name}: the model does not know {unknown!r} and {action}")
    return text  # unconverted, because the output shows it; the sampler converts it again


def _split_samples(params: SamplingParams, pieces: Iterable[Piece]) -> Iterator[Text]:
    """Yield each sample as a text, whose pieces must be read before the next one."""
    from charrnn.generation.sampler import group_by_sample

    for sample, new in group_by_sample(pieces):
        yield Text(sample, params.start_text, new)


def _join_lines(params: SamplingParams, lines: Iterable[Line], one_by_one: bool) -> Iterator[Text]:
    """Yield the lines as one text, or each line as a text."""
    if one_by_one:
        for line in lines:
            yield Text(line.sample, params.start_text, iter([line.text[len(params.start_text) :]]))
    else:
        yield Text(0, "", (f"{line.text}\n" for line in lines))


def _to_dict(text: Text, params: SamplingParams, vocabulary: Vocabulary) -> dict[str, Any]:
    """Write the rest of a text, and return its JSON object. Bytes are decoded as UTF-8."""
    new = "".join(text.pieces)
    texts = {"text": new, "start_text": text.start}
    if vocabulary.is_bytes:
        texts = {n: as_bytes(t).decode("utf-8", "surrogateescape") for n, t in texts.items()}
    return {
        **texts,
        "seed": params.seed,
        "sample": text.sample,
        "temperature": params.temperature if params.sample else 0,
    }


def _separate_texts(texts: Iterable[Text], job: int | None, on_terminal: bool) -> Iterator[str]:
    """Yield texts with a line between them; in a sweep, a line before each names the job.

    On a terminal, a job ends with a newline.
    """
    label = " ".join(current_job.list_overrides()) if job is not None else ""
    for number, text in enumerate(texts):
        if number or (job and not on_terminal):
            yield "\n"
        if number or label:
            yield escape_unprintable(f"---------- {label}".rstrip()) + "\n"
        yield from text
    if on_terminal:
        yield "\n"
