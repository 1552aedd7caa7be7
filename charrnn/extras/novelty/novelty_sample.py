"""The options novel= and report= of `charrnn sample`: avoid copies, or measure them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from charrnn.commands.sample import SampleOptions, Text
from charrnn.data import read_training_text
from charrnn.errors import InputError
from charrnn.extras.novelty.novel_writing import write_novel
from charrnn.extras.novelty.novelty_report import report_on
from charrnn.generation.lines import Line, write_lines
from charrnn.generation.sampler import Piece, Sampler
from charrnn.models.trained import TrainedModel
from charrnn.options.datasets import SPLITS
from charrnn.options.sampling import SamplingParams
from charrnn.say import say
from charrnn.text.sources import read_pieces
from charrnn.text.wrap import get_wrap


class Novelty:
    """The training text of a model, with which its samples are compared."""

    def __init__(self, options: SampleOptions, sampler: Sampler) -> None:
        self._options, self._sampler = options, sampler
        self._texts: list[Iterable[str]] = []
        # A generated line is new only if no split contains it.
        splits = SPLITS if options.novel is True else ("train",)
        self._training = _read_text(options.corpus, sampler.model, splits)

    def write(self, params: SamplingParams) -> Iterator[Piece]:
        """Write a text without copies that are longer than allowed."""
        return write_novel(self._sampler, params, self._training, int(self._options.novel))

    def write_lines(self, params: SamplingParams) -> Iterator[Line]:
        """Write lines that the training text does not contain."""
        known = {line.rstrip() for line in self._training.split("\n")}
        return write_lines(self._sampler, params, known)

    def copy_texts(self, texts: Iterator[Text]) -> Iterator[Text]:
        """Yield the texts unchanged, and keep a copy of them for the report."""
        for text in texts:
            pieces, copy = itertools.tee(text.pieces)
            self._texts.append(copy)
            yield replace(text, pieces=pieces)

    def report(self) -> None:
        """Print how much of each text is copied; a list of lines is one text."""
        texts = ["".join(pieces) for pieces in self._texts]
        if self._options.mode == "lines" and texts:
            texts = ["".join(f"{text.rstrip()}\n" for text in texts)]
        for number, text in enumerate(texts):
            label = f"{number}: " if len(texts) > 1 else ""
            say(*f"{label}{report_on(text, self._training)}".split("\n"))


def _read_text(corpus: str | None, model: TrainedModel, splits: Sequence[str]) -> str:
    """Return the text of the file `corpus`, or these splits of the model's training text."""
    if corpus is not None:
        return "".join(read_pieces(corpus, model.encoding, get_wrap(model.facts)))
    try:
        return read_training_text(model.facts, splits)
    except InputError as error:
        raise InputError(
            f"corpus=null: the model's training text is not available ({error}); name it: "
            f"corpus=FILE"
        ) from None
