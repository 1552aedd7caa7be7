"""`charrnn export`: write a model into an HTML page, or an ES module, that runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from charrnn.commands.output import check_output
from charrnn.errors import InputError
from charrnn.options.ranges import PATH, TEXT, Range
from charrnn.say import say

HTML_OR_JS = Range(
    lambda value: value.endswith((".html", ".js")),
    "must end in .html (a page) or .js (a module)",
)


@dataclass
class ExportOptions:
    checkpoint: Annotated[str | None, PATH]
    learn: bool
    output: Annotated[str, PATH, HTML_OR_JS]
    title: Annotated[str | None, TEXT]
    licence: Annotated[str, TEXT]


OPTIONS = ExportOptions
MAX_PACKED_BYTES = 2_200_000  # 3 MB in a page
FIRST_WORD = "checkpoint"


def run(options: ExportOptions) -> None:
    """Write a page with the model of `checkpoint`, or one that learns texts, to `output`."""
    from charrnn.files import replace_file

    content, note = _make_learning_page(options) if options.learn else _make_content(options)
    output = Path(options.output)
    with replace_file(output) as temporary:
        temporary.write_text(content, "utf-8", "replace")
    say(f"wrote {output}: {output.stat().st_size / 1e6:.2f} MB; {note}")


def _make_content(options: ExportOptions) -> tuple[str, str]:
    """Return a page or a module with the model in it, and a note about the model."""
    from charrnn.extras.page.packing import choose_title, pack_model, require_page_support
    from charrnn.extras.page.rounding import choose_precision
    from charrnn.extras.page.writing_page import make_script_module, make_writing_page
    from charrnn.runs.model_lookup import find_model, read_model

    source = find_model(options.checkpoint)
    check_output(options.output, source)
    model = read_model(source)
    require_page_support(model)
    chosen = choose_precision(model)
    packed = pack_model(chosen, options.title, options.licence)
    if model.counts is not None and len(packed) > MAX_PACKED_BYTES:
        chosen = chosen._replace(model=replace(model, counts=None))
        packed = pack_model(chosen, options.title, options.licence)
        say(
            f"{options.output}: contains the network without the model's counts, because the file "
            f"would be larger than 3 MB"
        )
    cost = f", which adds {chosen.cost:.5f} nats per character to the loss" if chosen.cost else ""
    note = f"weights of {chosen.bits} bits{cost}"
    if options.output.endswith(".js"):
        return make_script_module(packed, options.title, options.licence), note
    return make_writing_page(packed, choose_title(model, options.title)), note


def _make_learning_page(options: ExportOptions) -> tuple[str, str]:
    from charrnn.extras.page.writing_page import make_learning_page

    if options.checkpoint is not None:
        raise InputError("learn=true: makes a page without a model; leave out checkpoint")
    if not options.output.endswith(".html"):
        raise InputError(f"output={options.output}: learn=true makes a page; it must end in .html")
    check_output(options.output)
    return make_learning_page(), "it learns a text by counting, in the browser"
