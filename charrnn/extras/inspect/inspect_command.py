"""`charrnn inspect`: one HTML page in which one looks inside a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from charrnn.commands.output import refuse_the_model_itself
from charrnn.errors import InputError, shown
from charrnn.options.ranges import (
    PATH,
    UNKNOWN,
    Range,
)
from charrnn.say import say, scoring_progress

if TYPE_CHECKING:
    from charrnn.data import EncodedText, Ids
    from charrnn.extras.inspect.passage_report import Passage
    from charrnn.models.trained import TrainedModel


def run(options: InspectOptions) -> None:
    """Write the page of `checkpoint` and a passage to `output`."""
    if find_spec("charrnn.extras.page") is None:
        raise InputError("inspect: needs charrnn.extras.page, which is not there")
    from charrnn.extras.inspect.passage_report import page, report
    from charrnn.extras.page.packing import in_precision, require_steps
    from charrnn.files import replacing
    from charrnn.models import find_model, read_model

    found, output = find_model(options.checkpoint), Path(options.output)
    refuse_the_model_itself(options.output, found)
    if output.is_dir():
        raise InputError(f"output={shown(options.output)}: is a folder; name a file")
    model = read_model(found)
    require_steps(model)
    corpus = _corpus(model)
    passage, training_ids = _passage(options, model, corpus), _training_ids(model, corpus)
    chosen = in_precision(replace(model, counts=None))
    with scoring_progress() as tell:
        seen = report(chosen.model, passage, training_ids, model.counts, progress=tell)
    content = page(chosen, seen | _run(found)).encode("utf-8")
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    size = len(content) / 1e6
    say(
        f"wrote {output}: {len(passage.ids):,} characters of {passage.source}, {size:.2f} MB; "
        f"weights of {chosen.precision.bits} bits"
    )


def _run(found: Path) -> dict[str, Any]:
    from charrnn.extras.inspect.passage_report import run_of, training

    folder = run_of(found)
    return training(folder) if folder else {"curves": {}, "samples": []}


def _passage(options: InspectOptions, model: TrainedModel, corpus: EncodedText | None) -> Passage:
    from charrnn.data import translated
    from charrnn.extras.inspect.passage_report import Passage

    if options.input_txt is not None:
        passage = Passage(_given(options, model), "the text given")
    elif corpus is None:
        raise InputError(
            "input_txt=null: the text that the model was trained on is not at "
            "hand; give input_txt=, a text to look at"
        )
    else:
        split = "val" if len(corpus.splits["val"]) > 1 else "train"
        ids = translated(corpus, split, model.vocabulary, skip=options.unknown != "error")
        names = {"val": "the validation text", "train": "the training text"}
        passage = Passage(ids[: options.length], names[split])
    if len(passage.ids) < 2:
        raise InputError(
            f"input_txt={shown(options.input_txt or 'null')}: has {len(passage.ids)} characters "
            f"that the model knows, and a passage needs 2 or more"
        )
    return passage


def _given(options: InspectOptions, model: TrainedModel) -> Ids:
    """The ids of the first characters of the text that was named."""
    from charrnn.text.preprocessing import read_pieces
    from charrnn.text.unknown_characters import fitted

    assert options.input_txt is not None
    text = ""
    for piece in read_pieces(options.input_txt, model.encoding):
        text += piece
        if len(text) >= options.length:
            break
    text = fitted(text[: options.length], model.vocabulary, options.unknown).text
    try:
        return model.vocabulary.encode(text)
    except InputError as error:
        raise InputError(
            f"input_txt={shown(options.input_txt)}: {error}, or give unknown=skip"
        ) from None


def _corpus(model: TrainedModel) -> EncodedText | None:
    """The text that the model was trained on, where it is still at hand."""
    from charrnn.data import training_data

    try:
        return training_data(model.facts)
    except InputError as error:
        say(f"the text that the model was trained on is not at hand ({error})")
        return None


def _training_ids(model: TrainedModel, corpus: EncodedText | None) -> Ids | None:
    """What is counted, to compare with, of a model that has no counts."""
    from charrnn.data import translated
    from charrnn.extras.inspect.passage_report import MOST_COUNTED

    if model.counts is not None:
        return None
    if corpus is None:
        say("the counts to compare with need the training text; the page is without them")
        return None
    return translated(corpus, "train", model.vocabulary, skip=True)[:MOST_COUNTED]


PASSAGE = Range(lambda value: 2 <= value <= 200_000, "must be between 2 and 200000")


@dataclass
class InspectOptions:
    checkpoint: Annotated[str | None, PATH]
    input_txt: Annotated[str | list[str] | None, PATH]
    length: Annotated[int, PASSAGE]
    unknown: Annotated[str, UNKNOWN]
    output: Annotated[str, PATH]
