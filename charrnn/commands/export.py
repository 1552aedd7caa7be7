"""`charrnn export`: a model as a page that writes by itself, as ONNX, or as a model file."""

from __future__ import annotations

import sys
from pathlib import Path

from charrnn.cli.model_options import ExportOptions
from charrnn.errors import InputError
from charrnn.export.precision import Chosen


def run(options: ExportOptions) -> None:
    """Write the model of `checkpoint` to `output`, as its ending says."""
    from charrnn.export.packing import require_steps
    from charrnn.export.precision import in_precision
    from charrnn.models import find_model, read_model

    source, output = find_model(options.checkpoint), Path(options.output)
    if output.exists() and output.samefile(source):
        raise InputError(f"output={options.output}: is the model itself; name another file")
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
    _say(
        f"wrote {output}: {output.stat().st_size / 1e6:.2f} MB; "
        f"weights {weights} {chosen.precision.bits} bits{cost}"
    )


def _write_page(options: ExportOptions, chosen: Chosen, output: Path) -> None:
    from charrnn.export.card import card, corpus_name, is_indented
    from charrnn.export.copies import packed_copies
    from charrnn.export.writing_page import About, writing_page
    from charrnn.files import replacing

    copies = None
    if options.novelty:
        from charrnn.novelty import find_training_text

        text = find_training_text(chosen.model, options.corpus).text
        copies = packed_copies(text, chosen.model.vocabulary)
        _say(
            f"what is copied: an index of {len(text):,} characters, {len(copies) / 1e6:.2f} MB "
            f"of the page"
        )
    title = options.title or corpus_name(chosen.model) or "charrnn"
    about = About(title, card(chosen), options.licence, is_indented(chosen.model))
    page = writing_page(chosen, about, copies)
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _write_onnx(options: ExportOptions, chosen: Chosen, output: Path) -> None:
    from charrnn.export.card import card
    from charrnn.export.onnx_step import onnx_step
    from charrnn.files import replacing

    content = onnx_step(chosen.model, card(chosen))
    with replacing(output) as temporary:
        temporary.write_bytes(content)


def _write_model_file(options: ExportOptions, chosen: Chosen, output: Path) -> None:
    from charrnn.models import model_file

    model_file.save(output, chosen.model)


# by the ending of the output
WRITERS = {".html": _write_page, ".onnx": _write_onnx, ".safetensors": _write_model_file}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
