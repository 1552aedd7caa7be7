"""What can be asked of a sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from charrnn.ranges import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    PRIMES,
    SEED,
    SHARE,
    TEMPERATURE,
    UNIT,
    UNKNOWN,
    one_of,
    require,
    require_ranges,
)

ENGINES = ("numpy", "numba", "torch")


@dataclass(frozen=True)
class GenerateOptions:
    """One call of a sampler, checked.

    Attributes:
        length: new characters.
        temperature: below 1 more careful, above 1 wilder; 0: always the likeliest; "0.2..1.2"
            moves evenly from the one to the other along the text.
        start_text: what the text goes on from; it is not repeated.
        unknown: what becomes of characters of start_text that the model does not know: error,
            skip (they are left out) or replace (by the nearest that it knows).
        prime: text: before start_text the model reads real text, which it carries; none: nothing
            or, without a start_text, a newline.
        seed: the same seed gives the same text; by default one is drawn.
        sample: False: always the likeliest character.
        top_k: choose among the k likeliest characters only.
        top_p: choose among the likeliest that together have this probability.
        min_p: choose among those only that are at least so many times as likely as the likeliest.
        ban: characters that are never written.
        num_samples: write so many texts, side by side.
        until: stop before this text.
        engine: auto, numpy, numba (compiled) or torch (GPU).

    Raises:
        InputError: a value is out of its range.
    """

    length: int = 2000
    temperature: float | str = 0.8
    start_text: str = ""
    unknown: str = "error"
    prime: str = "text"
    seed: int | None = None
    sample: bool = True
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    ban: str | None = None
    num_samples: int = 1
    until: str | None = None
    engine: str = "auto"

    def __post_init__(self) -> None:
        require_ranges(
            "",
            self,
            length=NOT_NEGATIVE,
            temperature=TEMPERATURE,
            unknown=one_of(*UNKNOWN),
            prime=one_of(*PRIMES),
            seed=SEED,
            top_k=AT_LEAST_1,
            top_p=SHARE,
            min_p=UNIT,
            num_samples=AT_LEAST_1,
            engine=one_of("auto", *ENGINES),
        )
        require(self.until != "", "until", "", "must be a text of one character or more")


class Keywords(TypedDict, total=False):
    """Those of the options above that `Model.generate` and `Model.stream` take by name only."""

    temperature: float | str
    unknown: str
    prime: str
    seed: int | None
    sample: bool
    top_k: int | None
    top_p: float | None
    min_p: float | None
    ban: str | None
    until: str | None
    engine: str
