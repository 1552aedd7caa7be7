"""`charrnn export`: write a model into an HTML page, or an ES module, that runs it."""

from __future__ import annotations

from dataclasses import dataclass
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
FIRST_WORD = "checkpoint"


def run(options: ExportOptions) -> None:
    """Write a page with the model of `checkpoint`, or one that learns texts, to `output`."""
    if options.learn:
        _export_learning_page(options)
        return
    from charrnn.extras.page.content import make_content
    from charrnn.extras.page.script_module import make_script_module
    from charrnn.extras.page.writing_page import make_writing_page
    from charrnn.files import replace_file
    from charrnn.runs.model_lookup import find_model, read_model

    source, output = find_model(options.checkpoint), Path(options.output)
    check_output(options.output, source)
    model = read_model(source)
    make = make_script_module if options.output.endswith(".js") else make_writing_page
    content, chosen = make_content(make, model, options.title, options.licence)
    if chosen.model.counts is None and model.counts is not None:
        say(
            f"{options.output}: contains the network without the model's counts, because the file "
            f"would be larger than 3 MB"
        )
    with replace_file(output) as temporary:
        temporary.write_text(content, "utf-8", "replace")
    cost = f", which adds {chosen.cost:.5f} nats per character to the loss" if chosen.cost else ""
    say(
        f"wrote {output}: {output.stat().st_size / 1e6:.2f} MB; weights of {chosen.bits} bits{cost}"
    )


def _export_learning_page(options: ExportOptions) -> None:
    from charrnn.extras.page.writing_page import make_learning_page
    from charrnn.files import replace_file

    if options.checkpoint is not None:
        raise InputError("learn=true: makes a page without a model; leave out checkpoint")
    if not options.output.endswith(".html"):
        raise InputError(f"output={options.output}: learn=true makes a page; it must end in .html")
    check_output(options.output)
    with replace_file(Path(options.output)) as temporary:
        temporary.write_text(make_learning_page(), "utf-8")
    size = Path(options.output).stat().st_size / 1e6
    say(f"wrote {options.output}: {size:.2f} MB; it learns a text by counting, in the browser")
