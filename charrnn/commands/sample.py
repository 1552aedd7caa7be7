"""`charrnn sample`: write new text."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from charrnn.cli.options import SampleOptions
from charrnn.errors import InputError, RunError
from charrnn.text.vocabulary import as_bytes

if TYPE_CHECKING:
    from charrnn.generation.sampler import Piece

BETWEEN = "\n----------\n"
_SILENT_SECONDS = 2.0
_REPEAT_SECONDS = 5.0


def run(options: SampleOptions) -> None:
    """Write start_text and the new text to standard output, or to the file `output`.

    Several samples are written side by side and come one after another; the one whose turn
    it is comes as it is written.
    """
    from charrnn.generation.options import GenerateOptions
    from charrnn.generation.sampler import Sampler, drawn_seed, in_order
    from charrnn.models import find_model as find
    from charrnn.models.ensemble import read_models

    output = options.output
    is_there = output is not None and os.path.exists(output)
    paths = [options.checkpoint] if isinstance(options.checkpoint, str) else options.checkpoint
    if is_there and any(os.path.samefile(str(output), find(path)) for path in paths):
        raise InputError(f"output={output}: is the model itself; name another file")
    sampler = Sampler(read_models(options.checkpoint))
    drawn = options.seed is None
    if drawn:
        options = replace(options, seed=drawn_seed())
    asked = {f.name: getattr(options, f.name) for f in fields(GenerateOptions)}
    pieces = sampler.write(GenerateOptions(**asked))
    if drawn:
        print(f"seed={options.seed}", file=sys.stderr, flush=True)
    on_terminal = options.output is None and sys.stdout.isatty()
    if not on_terminal:
        pieces = _reported(pieces, options.length * options.num_samples)

    with _opened(options.output) as write:
        begun = -1
        for piece in in_order(pieces):
            if piece.sample != begun:
                begun = piece.sample
                write((BETWEEN if begun else "") + options.start_text)
            write(piece.text)
        if on_terminal:
            write("\n")


@contextlib.contextmanager
def _opened(output: str | None) -> Iterator[Callable[[str], None]]:
    """A function that writes text to standard output, or to a file that is whole or not there."""
    if output is None:
        yield lambda text: _print(sys.stdout.buffer, text)
    else:
        from charrnn.files import replacing

        with replacing(Path(output)) as temporary, temporary.open("wb") as file:
            yield lambda text: _write(file, text)


def _write(file: BinaryIO, text: str) -> None:
    file.write(as_bytes(text))


def _print(output: BinaryIO, text: str) -> None:
    try:
        output.write(as_bytes(text))
        output.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(f"standard output: cannot be written ({error.strerror})") from error


def _reported(pieces: Iterable[Piece], total: int) -> Iterator[Piece]:
    """Hand on the pieces; on standard error say how far it has come when that takes long."""
    written, due = 0, time.monotonic() + _SILENT_SECONDS
    for piece in pieces:
        written += len(piece.text)
        if time.monotonic() >= due:
            print(f"{written:,} of {total:,} characters", file=sys.stderr, flush=True)
            due = time.monotonic() + _REPEAT_SECONDS
        yield piece
