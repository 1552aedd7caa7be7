"""`charrnn inspect`: show how a model works, on one HTML page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from charrnn.commands.output import check_output
from charrnn.errors import InputError, shorten
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
    """Write a page about `checkpoint` and a passage to `output`."""
    if find_spec("charrnn.extras.page") is None:
        raise InputError("inspect: this charrnn was installed without its pages; reinstall charrnn")
    from charrnn.extras.inspect.passage_report import make_page
    from charrnn.extras.page.packing import choose_precision, require_page_support
    from charrnn.files import replace_file
    from charrnn.runs.model_lookup import find_model, read_model

    path, output = find_model(options.checkpoint), Path(options.output)
    check_output(options.output, path)
    model = read_model(path)
    require_page_support(model)
    ids, source = _read_passage(options, model)
    chosen = choose_precision(replace(model, counts=None))
    content = make_page(chosen, ids, model.counts).encode("utf-8", "replace")
    with replace_file(output) as temporary:
        temporary.write_bytes(content)
    say(
        f"wrote {output}: {len(ids):,} characters of {source}, {len(content) / 1e6:.2f} MB; "
        f"weights of {chosen.bits} bits"
    )


def _read_passage(options: InspectOptions, model: TrainedModel) -> tuple[Ids, str]:
    """Return the ids of the passage, and a name for its source."""
    read = _read_run_text if options.input_txt is None else _read_input_txt
    ids, source = read(options, model)
    if len(ids) < 2:
        raise InputError(
            f"input_txt={shorten(options.input_txt or 'null')}: the model knows {len(ids)} of its "
            f"characters, but a passage needs 2 or more"
        )
    return ids, source


def _read_input_txt(options: InspectOptions, model: TrainedModel) -> tuple[Ids, str]:
    """Return the first `length` characters of `input_txt` as ids, and a name for their source."""
    from charrnn.text.prompt import fit_text
    from charrnn.text.sources import read_pieces

    assert options.input_txt is not None
    characters = chain.from_iterable(read_pieces(options.input_txt, model.encoding))
    text = "".join(islice(characters, options.length))
    text = fit_text(text, model.vocabulary, options.unknown).text
    try:
        return model.vocabulary.encode(text), "input_txt"
    except InputError as error:
        raise InputError(
            f"input_txt={shorten(options.input_txt)}: {error}, or give unknown=skip"
        ) from None


def _read_run_text(options: InspectOptions, model: TrainedModel) -> tuple[Ids, str]:
    """Return the first `length` ids of the validation or training split of the model's run."""
    from charrnn.data import open_training_data, translate_split

    try:
        corpus = open_training_data(model.facts)
    except InputError as error:
        raise InputError(
            f"input_txt=null: the text of the model's training is not available ({error}); "
            f"name another text: input_txt=FILE"
        ) from None
    split, source = "val", "the validation text"
    if len(corpus.splits["val"]) < 2:
        split, source = "train", "the training text"
    ids = translate_split(corpus, split, model.vocabulary, skip=options.unknown != "error")
    return ids[: options.length], source
