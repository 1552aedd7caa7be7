"""`charrnn sample novel= report=true`: text and lines that do not copy, and how much others do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli.job import current_job
from charrnn.commands.sample import SampleStep
from charrnn.errors import InputError, install
from charrnn.extras.novelty.novelty_options import NoveltyOptions
from charrnn.files import replacing
from charrnn.options.commands import SampleOptions
from charrnn.say import BITS_PER_NAT, say

if TYPE_CHECKING:
    from charrnn.commands.sample import Text
    from charrnn.extras.novelty.novelty_report import Report
    from charrnn.generation.lines import Line
    from charrnn.generation.sampler import Piece, Sampler
    from charrnn.options.sampling import SamplingParams


def novelty_step(options: SampleOptions, sampler: Sampler) -> SampleStep | None:
    """The step, if it has anything to do."""
    if not isinstance(options, NoveltyOptions):
        return None
    return NoveltyStep(options, sampler) if options.report or options.novel is not False else None


class NoveltyStep(SampleStep):
    """The novelty of what one call of `charrnn sample` writes.

    Raises:
        InputError: at once: what it needs is not installed, or the training text not found.
    """

    def __init__(self, options: NoveltyOptions, sampler: Sampler) -> None:
        from charrnn.extras.novelty.training_text import find_training_text

        self._options = options
        self._sampler = sampler
        self._texts: list[tuple[SamplingParams, list[str]]] = []
        _require_packages(options)
        self._training = find_training_text(sampler.model, options.corpus)

    def write(self, asked: SamplingParams) -> Iterator[Piece] | None:
        """Without a longer run of the training text than is allowed."""
        if self._options.novel is False:
            return None
        from charrnn.extras.novelty.novel_writing import write_novel

        return write_novel(self._sampler, asked, self._training, self._options.novel)

    def write_lines(self, asked: SamplingParams) -> Iterator[Line] | None:
        """Without the lines of the training text."""
        if self._options.novel is False:
            return None
        from charrnn.generation.lines import write_lines

        return write_lines(self._sampler, asked, self._training.lines)

    def around(self, texts: Iterator[Text]) -> Iterator[Text]:
        """Hand on the texts, and keep what is in them for the report."""
        if not self._options.report:
            yield from texts
            return
        for text in texts:
            pieces: list[str] = []
            self._texts.append((text.asked, pieces))
            yield replace(text, pieces=_noted(text.pieces, pieces))

    def end(self, output: str | None) -> None:
        """Tell how much was copied, if that is asked for; as files too, where there is a place.

        Args:
            output: the file that was written; the report's lie beside it.
        """
        if not self._options.report:
            return
        from charrnn.extras.novelty.novelty_report import report_on

        found = list(self._asked_and_written())
        for number, (asked, text) in enumerate(found):
            report = report_on(text, self._training, self._bits_per_character(asked, text))
            several = f"{number}, temperature={asked.temperature}: " if len(found) > 1 else ""
            say(f"{several}{report}")
            self._write_files(report, output, [number] if len(found) > 1 else [])

    def _asked_and_written(self) -> Iterator[tuple[SamplingParams, str]]:
        """The texts; of a list of lines all of its lines as one."""
        if self._options.mode == "text":
            for asked, pieces in self._texts:
                yield asked, "".join(pieces)
            return
        for asked, lines in itertools.groupby(self._texts, lambda text: text[0]):
            new = ["".join(pieces).removesuffix("\n") + "\n" for _, pieces in lines]
            yield replace(asked, start_text=""), "".join(new)

    def _bits_per_character(self, asked: SamplingParams, text: str) -> float | None:
        if not text:
            return None
        return -self._sampler.log_probability(asked, text) / len(text) * BITS_PER_NAT

    def _write_files(self, report: Report, output: str | None, numbers: list[int]) -> None:
        """The report's JSON and plot, under the name of the text that it is on."""
        from charrnn.extras.novelty.novelty_report import draw

        folder, job = self._options.report_folder, current_job()
        if output is None and folder is None:
            return
        if output is None and job is not None:
            numbers = [job.number, *numbers]
        named = Path("sample" if output is None else output)
        place = named.parent if folder is None else Path(folder)
        stem = str(place / "-".join([named.stem, *map(str, numbers)]))
        with replacing(Path(f"{stem}.report.json")) as temporary:
            temporary.write_text(json.dumps(report.plain(), indent=1) + "\n")
        draw(report, Path(f"{stem}.report.png"))
        say(f"{stem}.report.json and .png")


def _noted(pieces: Iterable[str], notes: list[str]) -> Iterator[str]:
    for piece in pieces:
        notes.append(piece)
        yield piece


def _require_packages(options: NoveltyOptions) -> None:
    """Raise InputError unless the extra is installed, as far as it will be needed."""
    name = "report" if options.report else "novel"
    suffixes = options.report or options.novel is not True
    needed = ["pydivsufsort"] * suffixes + ["matplotlib"] * options.report
    for package in needed:
        if find_spec(package) is None:
            raise InputError(f"{name}: needs {package}; {install('novelty')}")
