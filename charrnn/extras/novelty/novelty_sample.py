"""The options novel= and report= of `charrnn sample`: avoid copies, or measure them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from charrnn.commands.sample import SampleOptions, Writer
from charrnn.errors import InputError, format_install_command
from charrnn.options.ranges import PATH, Range, require
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.commands.sample import Text
    from charrnn.generation.sampler import Line, Piece, Sampler
    from charrnn.options.sampling import SamplingParams


NOVEL = Range(
    lambda value: isinstance(value, bool) or value >= 1,
    "must be the largest number of characters that may be copied in a row, 1 or more",
)


@dataclass(frozen=True, kw_only=True)
class NoveltyOptions(SampleOptions):
    novel: Annotated[bool | int, NOVEL]
    report: bool
    corpus: Annotated[str | None, PATH]

    def check(self) -> None:
        super().check()
        is_list = self.mode == "lines"
        require(
            self.novel is not True or is_list,
            "novel",
            "true",
            "needs mode=lines; for a text give the length of the longest allowed copy: novel=40",
        )
        require(
            isinstance(self.novel, bool) or not is_list,
            "novel",
            self.novel,
            "is for a text; for mode=lines, novel=true leaves out lines of the training text",
        )


OPTIONS = NoveltyOptions


class NoveltyWriter(Writer):
    """A writer that avoids copies (novel=), and reports how much is copied (report=true).

    Raises:
        InputError: a package is not installed, or the training text is missing.
    """

    def __init__(self, options: SampleOptions, sampler: Sampler) -> None:
        super().__init__(options, sampler)
        assert isinstance(options, NoveltyOptions)
        self._options = options
        self._texts: list[tuple[SamplingParams, Iterable[str]]] = []
        if not options.report and options.novel is False:
            return
        from charrnn.options.datasets import SPLITS
        from charrnn.text.training_text import find_training_text

        if (options.report or options.novel is not True) and find_spec("pydivsufsort") is None:
            name = "report" if options.report else "novel"
            raise InputError(f"{name}: needs pydivsufsort; {format_install_command('novelty')}")
        # A generated line is new only if no split contains it.
        splits = SPLITS if options.novel is True else ("train",)
        self._training = find_training_text(
            sampler.model.facts, sampler.model.encoding, options.corpus, splits
        )

    def write(self, params: SamplingParams) -> Iterator[Piece]:
        """Write a text without copies that are longer than allowed."""
        if self._options.novel is False:
            return super().write(params)
        from charrnn.extras.novelty.novel_writing import write_novel

        return write_novel(self.sampler, params, self._training, self._options.novel)

    def write_lines(self, params: SamplingParams) -> Iterator[Line]:
        """Write lines that the training text does not contain."""
        if self._options.novel is False:
            return super().write_lines(params)
        from charrnn.generation.sampler import write_lines

        lines = {line.rstrip() for line in self._training.text.split("\n")}
        return write_lines(self.sampler, params, lines)

    def wrap_texts(self, texts: Iterator[Text]) -> Iterator[Text]:
        """Yield the texts unchanged, and keep a copy of them for the report."""
        for text in super().wrap_texts(texts):
            if self._options.report:
                pieces, copy = itertools.tee(text.pieces)
                self._texts.append((text.params, copy))
                text = replace(text, pieces=pieces)
            yield text

    def end(self) -> None:
        """Report how much is copied, if report=true."""
        super().end()
        if not self._options.report:
            return
        from charrnn.extras.novelty.novelty_report import report_on

        texts = [(params, "".join(pieces)) for params, pieces in self._texts]
        if self._options.mode == "lines":  # Join the lines of each list.
            texts = [
                (params, "".join(f"{text.rstrip()}\n" for _, text in lines))
                for params, lines in itertools.groupby(texts, lambda text: text[0])
            ]
        for number, (params, text) in enumerate(texts):
            label = f"{number}, temperature={params.temperature}: " if len(texts) > 1 else ""
            say(*f"{label}{report_on(text, self._training)}".split("\n"))


WRITER = NoveltyWriter
