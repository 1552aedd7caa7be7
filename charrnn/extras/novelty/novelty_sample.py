"""`charrnn sample novel= report=true`: text and lines that do not copy, and how much others do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from charrnn.commands.sample import SampleOptions, Writer
from charrnn.errors import InputError, install
from charrnn.options.ranges import PATH, Range, require
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.commands.sample import Text
    from charrnn.generation.sampler import Line, Piece, Sampler
    from charrnn.options.sampling import SamplingParams


NOVEL = Range(
    lambda value: isinstance(value, bool) or value >= 1,
    "must be the longest run of characters that may be copied, 1 or more",
)


@dataclass(frozen=True, kw_only=True)
class NoveltyOptions(SampleOptions):
    novel: Annotated[bool | int, NOVEL]
    report: bool
    corpus: Annotated[str | None, PATH]

    def check(self) -> None:
        super().check()
        lines = self.mode == "lines"
        require(
            self.novel is not True or lines,
            "novel",
            "true",
            "needs mode=lines; for a text give the longest run that may be copied: novel=40",
        )
        require(
            isinstance(self.novel, bool) or not lines,
            "novel",
            self.novel,
            "is for a text; novel=true writes no line of the training text",
        )


OPTIONS = NoveltyOptions


class NoveltyWriter(Writer):
    """Writes what does not copy, and tells how much of a text is copied, where that is asked for.

    Raises:
        InputError: at once: what it needs is not installed, or the training text not found.
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
            raise InputError(f"{name}: needs pydivsufsort; {install('novelty')}")
        # a line of one's own is no new one, whichever split it stands in
        splits = SPLITS if options.novel is True else ("train",)
        self._training = find_training_text(
            sampler.model.facts, sampler.model.encoding, options.corpus, splits
        )

    def write(self, params: SamplingParams) -> Iterator[Piece]:
        """Without a longer run of the training text than is allowed."""
        if self._options.novel is False:
            return super().write(params)
        from charrnn.extras.novelty.novel_writing import write_novel

        return write_novel(self.sampler, params, self._training, self._options.novel)

    def write_lines(self, params: SamplingParams) -> Iterator[Line]:
        """Without the lines of the text."""
        if self._options.novel is False:
            return super().write_lines(params)
        from charrnn.generation.sampler import write_lines

        lines = {line.rstrip() for line in self._training.text.split("\n")}
        return write_lines(self.sampler, params, lines)

    def around(self, texts: Iterator[Text]) -> Iterator[Text]:
        """Hand on the texts, and keep what is in them for the report."""
        for text in super().around(texts):
            if self._options.report:
                pieces, again = itertools.tee(text.pieces)
                self._texts.append((text.params, again))
                text = replace(text, pieces=pieces)
            yield text

    def end(self) -> None:
        """Tell how much was copied, if that is asked for."""
        super().end()
        if not self._options.report:
            return
        from charrnn.extras.novelty.novelty_report import report_on

        texts = [(params, "".join(pieces)) for params, pieces in self._texts]
        if self._options.mode == "lines":  # all of a list as one
            texts = [
                (params, "".join(f"{text.rstrip()}\n" for _, text in lines))
                for params, lines in itertools.groupby(texts, lambda text: text[0])
            ]
        for number, (params, text) in enumerate(texts):
            report = str(report_on(text, self._training))
            several = len(texts) > 1
            say(f"{number}, temperature={params.temperature}: {report}" if several else report)


WRITER = NoveltyWriter
