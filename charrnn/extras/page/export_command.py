"""`charrnn export`: a model as a page that writes by itself, or as a model file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import refuse_the_model_itself
from charrnn.errors import InputError
from charrnn.extras.page.packing import Chosen
from charrnn.options.ranges import (
    PATH,
    TEXT,
    Range,
)
from charrnn.say import say


def run(options: ExportOptions) -> None:
    """Write the model of `checkpoint` to `output`, as its ending says."""
    from charrnn.extras.page.packing import in_precision, require_steps
    from charrnn.models import find_model, read_model

    source, output = find_model(options.checkpoint), Path(options.output)
    refuse_the_model_itself(options.output, source)
    if output.is_dir():
        raise InputError(f"output={options.output}: is a folder; name a file")
    write = WRITERS[output.suffix]
    bits = options.precision or (None if output.suffix == ".html" else 32)
    model = read_model(source)
    if output.suffix == ".html":
        require_steps(model)
    chosen = in_precision(model, bits)
    write(options, chosen, output)
    weights = "rounded to" if output.suffix == ".safetensors" and chosen.cost else "of"
    cost = f", which adds {chosen.cost:.5f} nats a character to the loss" if chosen.cost else ""
    say(
        f"wrote {output}: {output.stat().st_size / 1e6:.2f} MB; "
        f"weights {weights} {chosen.precision.bits} bits{cost}"
    )


def _write_page(options: ExportOptions, chosen: Chosen, output: Path) -> None:
    from charrnn.extras.page.packing import card, is_indented
    from charrnn.extras.page.writing_page import About, writing_page
    from charrnn.files import replacing
    from charrnn.training_text import corpus_name

    title = options.title or corpus_name(chosen.model) or "charrnn"
    about = About(title, card(chosen), options.licence, is_indented(chosen.model))
    page = writing_page(chosen, about)
    if chosen.model.counts is not None and len(page) > LARGEST_PAGE:
        chosen = chosen._replace(model=replace(chosen.model, counts=None))
        page = writing_page(chosen, about)
        say(f"{output}: {NETWORK_ALONE}, with which it would be larger than 3 MB")
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _write_model_file(options: ExportOptions, chosen: Chosen, output: Path) -> None:
    from charrnn.models import model_file

    model_file.save(output, chosen.model)


LARGEST_PAGE = 3_000_000  # bytes of one with counts
NETWORK_ALONE = "has the network alone, without the counts of the model"

# by the ending of the output
WRITERS = {".html": _write_page, ".safetensors": _write_model_file}


ENDINGS = (".html", ".safetensors")
BITS = Range(lambda value: value in (8, 16, 32), "must be 8, 16 or 32 bits")
EXPORTED = Range(
    lambda value: value.endswith(ENDINGS),
    "must end in .html (a page) or .safetensors (a model file)",
)


@dataclass
class ExportOptions:
    checkpoint: Annotated[str | None, PATH]
    output: Annotated[str, PATH, EXPORTED]
    precision: Annotated[int | None, BITS]
    title: Annotated[str | None, TEXT]
    licence: Annotated[str, TEXT]
