"""What `charrnn sample` does about copying: text and lines that do not, and the report."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli import sweeping
from charrnn.cli.model_options import SampleOptions
from charrnn.errors import InputError
from charrnn.files import replacing
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.commands.sample import Text
    from charrnn.generation.sampler import Piece, Sampler
    from charrnn.novelty import Report, TrainingText
    from charrnn.options.sampling import SamplingParams


class Novelty:
    """The novelty of what one call of `charrnn sample` writes.

    Raises:
        InputError: at once: what it needs is not installed, or the training text not found.
    """

    def __init__(self, options: SampleOptions, sampler: Sampler) -> None:
        self._options = options
        self._sampler = sampler
        self._texts: list[tuple[SamplingParams, list[str]]] = []
        if options.report or options.novel is not False:
            _require_packages(options)
            _ = self._training

    @cached_property
    def _training(self) -> TrainingText:
        from charrnn.novelty import find_training_text

        return find_training_text(self._sampler.model, self._options.corpus)

    @property
    def known_lines(self) -> Container[str]:
        """The lines that a list must not have."""
        return self._training.lines if self._options.novel is True else ()

    def write(self, asked: SamplingParams) -> Iterator[Piece]:
        """As `Sampler.write`, without a longer run of the training text than is allowed."""
        if self._options.novel is False:
            return self._sampler.write(asked)
        from charrnn.generation.novel import write_novel

        return write_novel(self._sampler, asked, self._training, self._options.novel)

    def kept(self, texts: Iterable[Text]) -> Iterator[Text]:
        """Hand on the texts, and keep what is in them for the report."""
        if not self._options.report:
            yield from texts
            return
        for text in texts:
            pieces: list[str] = []
            self._texts.append((text.asked, pieces))
            yield replace(text, pieces=_noted(text.pieces, pieces))

    def report(self, output: str | None) -> None:
        """Tell how much was copied, if that is asked for; as files too, where there is a place.

        Args:
            output: the file that was written; the report's lie beside it.
        """
        if not self._options.report:
            return
        from charrnn.novelty import report_on

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
        return -self._sampler.log_probability(asked, text) / len(text) / math.log(2)

    def _write_files(self, report: Report, output: str | None, numbers: list[int]) -> None:
        """The report's JSON and plot, under the name of the text that it is on."""
        from charrnn.novelty.plot import draw

        folder, job = self._options.report_folder, sweeping.current()
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


def _require_packages(options: SampleOptions) -> None:
    """Raise InputError unless the extra is installed, as far as it will be needed."""
    name = "report" if options.report else "novel"
    suffixes = options.report or options.novel is not True
    needed = ["pydivsufsort"] * suffixes + ["matplotlib"] * options.report
    for package in needed:
        if find_spec(package) is None:
            raise InputError(f"{name}: needs {package}; pip install 'charrnn[novelty]'")
