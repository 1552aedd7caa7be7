"""The options that novelty adds to `charrnn sample`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.commands import SampleOptions
from charrnn.options.ranges import PATH, Range, require

NOVEL = Range(
    lambda value: isinstance(value, bool) or value >= 1,
    "must be the longest run of characters that may be copied, 1 or more",
)


@dataclass(frozen=True, kw_only=True)
class NoveltyOptions(SampleOptions):
    novel: Annotated[bool | int, NOVEL]
    report: bool
    report_folder: Annotated[str | None, PATH]
    corpus: Annotated[str | None, PATH]

    def check(self, prefix: str) -> None:
        super().check(prefix)
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
        require(
            self.report or self.report_folder is None,
            "report_folder",
            self.report_folder,
            "needs report=true",
        )
        require(
            self.report or self.novel is not False or self.corpus is None,
            "corpus",
            self.corpus,
            "needs report=true or novel=",
        )
