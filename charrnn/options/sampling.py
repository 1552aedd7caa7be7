"""The parameters of sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from charrnn.options.ranges import DEVICE, NOT_EMPTY, SEED, TEXT, Options, interval, one_of, require


@dataclass(frozen=True)
class SamplingParams(Options):
    """The sampling parameters of `charrnn sample` and `Model.generate`.

    ``conf/sample.yaml`` explains each field in a line, which ``charrnn sample --help`` prints.
    They apply to the network's logits in this order: banned characters are removed; penalties
    and the costs of leaving the known words and pairs are added (`charrnn.generation.draw`); below
    a temperature of 1 the debts of line ends and sentence ends are added; the temperature divides
    the logits; the filters (top-k, top-p, min-p) remove characters. At temperature 0, with
    ``sample=False`` or ``top_k=1``, the most likely character is chosen, and no debts and filters
    apply. Else, after three equal blanks or tabs, the temperature is at least 1 and no debts and
    filters apply.

    With ``plain=True``, the probabilities are softmax(logits / temperature) of the network: without
    counts, known words, debts, min-p, the rule for blanks and the primer of the model. top-k,
    top-p, penalties and banned characters apply if they are given.
    """

    length: Annotated[int, interval(ge=0)] = 2000
    temperature: Annotated[float, interval(ge=0)] = 0.8
    start_text: Annotated[str, TEXT] = ""
    unknown: Annotated[str, one_of("error", "skip", "replace")] = "error"
    seed: Annotated[int | None, SEED] = None
    sample: bool = True
    top_k: Annotated[int | None, interval(ge=1)] = None
    top_p: Annotated[float | None, interval(gt=0, le=1)] = None
    min_p: Annotated[float, interval(ge=0, le=1)] = 0.02
    new_words: Annotated[float | None, interval(ge=0, le=1)] = None
    dry_multiplier: Annotated[float, interval(ge=0)] = 0.0
    dry_base: Annotated[float, interval(ge=1)] = 1.75
    dry_allowed_length: Annotated[int, interval(ge=1)] = 20
    ban: Annotated[str | None, TEXT] = None
    num_samples: Annotated[int, interval(ge=1)] = 1
    until: Annotated[str | None, TEXT, NOT_EMPTY] = None
    plain: bool = False
    device: Annotated[str, DEVICE] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        why = "plain=true draws without it; leave one out"
        is_default = self.min_p in (0, SamplingParams.min_p)
        require(not self.plain or is_default, "min_p", self.min_p, why)
        require(not self.plain or self.new_words is None, "new_words", self.new_words, why)
