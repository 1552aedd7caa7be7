"""`charrnn inspect`: one HTML page in which one looks inside a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from charrnn.commands.output import require_not_the_model
from charrnn.errors import InputError, short
from charrnn.options.ranges import HTML, PATH, UNKNOWN, Range
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.data import Ids
    from charrnn.models.trained import TrainedModel

PASSAGE = Range(lambda value: 2 <= value <= 200_000, "must be between 2 and 200000")


@dataclass
class InspectOptions:
    checkpoint: Annotated[str | None, PATH]
    input_txt: Annotated[str | list[str] | None, PATH]
    length: Annotated[int, PASSAGE]
    unknown: Annotated[str, UNKNOWN]
    output: Annotated[str, PATH, HTML]


OPTIONS = InspectOptions
FIRST_WORD = "checkpoint"


def run(options: InspectOptions) -> None:
    """Write the page of `checkpoint` and a passage to `output`."""
    if find_spec("charrnn.extras.page") is None:
        raise InputError("inspect: needs charrnn.extras.page, which is not there")
    from charrnn.extras.inspect.inspect_page import page
    from charrnn.extras.inspect.passage_report import report
    from charrnn.extras.page.packing import in_precision, require_steps
    from charrnn.files import replacing
    from charrnn.runs.model_lookup import find_model, read_model

    found, output = find_model(options.checkpoint), Path(options.output)
    require_not_the_model(options.output, found)
    model = read_model(found)
    require_steps(model)
    ids, source = _passage(options, model)
    chosen = in_precision(replace(model, counts=None))
    seen = report(chosen.model, ids, model.counts)
    content = page(chosen, seen).encode("utf-8", "replace")
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    say(
        f"wrote {output}: {len(ids):,} characters of {source}, {len(content) / 1e6:.2f} MB; "
        f"weights of {chosen.bits} bits"
    )


def _passage(options: InspectOptions, model: TrainedModel) -> tuple[Ids, str]:
    """The ids of the passage, and what it is called."""
    passage = _of_the_run if options.input_txt is None else _given
    ids, source = passage(options, model)
    if len(ids) < 2:
        raise InputError(
            f"input_txt={short(options.input_txt or 'null')}: has {len(ids)} characters "
            f"that the model knows, and a passage needs 2 or more"
        )
    return ids, source


def _given(options: InspectOptions, model: TrainedModel) -> tuple[Ids, str]:
    """The first characters of the text that was named."""
    from charrnn.text.prompt import fit_text
    from charrnn.text.sources import read_pieces

    assert options.input_txt is not None
    characters = chain.from_iterable(read_pieces(options.input_txt, model.encoding))
    text = "".join(islice(characters, options.length))
    text = fit_text(text, model.vocabulary, options.unknown).text
    try:
        return model.vocabulary.encode(text), "the text given"
    except InputError as error:
        raise InputError(
            f"input_txt={short(options.input_txt)}: {error}, or give unknown=skip"
        ) from None


def _of_the_run(options: InspectOptions, model: TrainedModel) -> tuple[Ids, str]:
    """Those of the text that the model was trained on."""
    from charrnn.data import training_data, translated

    try:
        corpus = training_data(model.facts)
    except InputError as error:
        raise InputError(
            f"input_txt=null: the text that the model was trained on is not at hand ({error}); "
            f"give input_txt=, a text to look at"
        ) from None
    split, source = "val", "the validation text"
    if len(corpus.splits["val"]) < 2:
        split, source = "train", "the training text"
    ids = translated(corpus, split, model.vocabulary, skip=options.unknown != "error")
    return ids[: options.length], source
