"""How much of a text is copied from the training text, in numbers that can be told and drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import needing
from charrnn.extras.novelty.training_text import Passage, TrainingText, words_of
from charrnn.files import replacing
from charrnn.text.vocabulary import readable

LONGEST = 50  # characters, of the substrings that are counted
_TOLD = (5, 10, 15, 20, 30, 40, 50)
_TOLD_WORDS = 20
_TOLD_CHARACTERS = 300


@dataclass(frozen=True)
class Report:
    """What a text has from the training text.

    Attributes:
        characters: of the text.
        training_characters: of the training text.
        copied: the share of the text's substrings of 1, 2, ... up to `LONGEST` characters that
            stand in the training text, each counted wherever it stands; as far as the text has
            any of that length.
        longest: the longest passage that stands there too; None where there is none.
        words: how many the text has, without one that it ends in: it may have been cut off.
        new_words: those of them that the training text does not have, whatever their case,
            each once, in the text's order.
        bits_per_character: of the text under the model; None where it is not known.
    """

    characters: int
    training_characters: int
    copied: list[float]
    longest: Passage | None
    words: int
    new_words: list[str]
    bits_per_character: float | None

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        values = asdict(self)
        if self.longest is not None:
            values["longest"]["text"] = readable(self.longest.text)
        return values

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines = [
            f"novelty: {self.characters:,} characters beside {self.training_characters:,} of the "
            f"training text"
        ]
        told = [length for length in _TOLD if length <= len(self.copied)]
        if told:
            shares = [f"{self.copied[length - 1]:.1%}" for length in told]
            lines.append("  passages of   " + "".join(f"{length:>8}" for length in told))
            lines.append("  are copied    " + "".join(f"{share:>8}" for share in shares))
        if (longest := self.longest) is not None:
            length, last = len(longest.text), longest.place + len(longest.text)
            often = f", {longest.count:,} times" if longest.count > 1 else ""
            lines += [
                f"  longest copy  {length:,} characters, from {longest.start:,} on",
                f"  stands in     line {longest.line:,}, characters {longest.place:,} to "
                f"{last:,}{often}",
                f"                {_cut(readable(longest.text))!r}",
            ]
        if self.words:
            lines.append(f"  new words     {len(self.new_words):,} of {self.words:,}{self._told()}")
        if self.bits_per_character is not None:
            lines.append(f"  the model     {self.bits_per_character:.3f} bits per character")
        return lines

    def _told(self) -> str:
        told = self.new_words[:_TOLD_WORDS]
        more = ", ..." if len(self.new_words) > len(told) else ""
        return f": {', '.join(told)}{more}" if told else ""


def _cut(text: str) -> str:
    half = _TOLD_CHARACTERS // 2
    return text if len(text) <= _TOLD_CHARACTERS else f"{text[:half]} ... {text[-half:]}"


def report_on(text: str, training: TrainingText, bits_per_character: float | None = None) -> Report:
    """Measure how novel a text is.

    Args:
        text: in the characters of the training text; of a model of bytes, its bytes.
    """
    matches = training.longest_matches(text)
    copied = [
        float((matches[length - 1 :] >= length).mean())
        for length in range(1, min(LONGEST, len(text)) + 1)
    ]
    words = words_of(text)
    if words and readable(text).endswith(words[-1]):
        del words[-1]  # it may have been cut off
    new_words = {word: None for word in words if word.casefold() not in training.words}
    return Report(
        characters=len(text),
        training_characters=len(training),
        copied=copied,
        longest=training.longest_copy(text, matches),
        words=len(words),
        new_words=list(new_words),
        bits_per_character=bits_per_character,
    )


def draw(report: Report, path: Path) -> None:
    """Write the curve as a PNG.

    Raises:
        InputError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    with needing("report: its plot needs matplotlib", "novelty"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    shares = [100 * share for share in report.copied]
    axes.plot(range(1, len(shares) + 1), shares, linewidth=2)
    if report.longest is not None and (length := len(report.longest.text)) <= LONGEST:
        axes.axvline(length, color="gray", linestyle="dashed")
        axes.annotate("the longest copy ", (length, 97), ha="right", va="top", color="gray")
    axes.set(
        title=f"{report.characters:,} characters beside {report.training_characters:,} "
        "of the training text",
        xlabel="length of a passage, in characters",
        ylabel="stand in the training text, %",
        xlim=(1, LONGEST),
        ylim=(0, 101),
    )
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
