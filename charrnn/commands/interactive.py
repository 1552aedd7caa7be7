"""`charrnn sample interactive=true`: write together with a model."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from charrnn.errors import InputError
from charrnn.generation.sampler import Sampler
from charrnn.options.sampling import SamplingParams

KEPT = "kept.txt"
_LEAST_SIDE_BY_SIDE = 3
_LONGEST = 120  # characters of a continuation at first, where length= is more


def write_together(sampler: Sampler, asked: SamplingParams, keep: str | None) -> str:
    """Open the editor; the text that is there when one quits.

    Args:
        keep: the file for what is kept; kept.txt if None.

    Raises:
        InputError: there is no terminal, or the extra `interactive` is not installed.
    """
    if not sys.stdin.isatty() or not (sys.stdout.isatty() or sys.stderr.isatty()):
        raise InputError("interactive=true: needs a terminal to write in")
    try:
        from prompt_toolkit.output import create_output

        from charrnn.editor.editor import Editor
    except ImportError as error:
        raise InputError(
            f"interactive=true: needs prompt_toolkit ({error}); pip install 'charrnn[interactive]'"
        ) from None

    asked = replace(
        asked,
        length=min(asked.length, _LONGEST),
        num_samples=max(asked.num_samples, _LEAST_SIDE_BY_SIDE),
    )
    # the terminal even where standard output is a file: it gets the text at the end
    screen = create_output(always_prefer_tty=True)
    editor = Editor(sampler, asked, Path(keep or KEPT), output=screen)
    asyncio.run(editor.run())
    return editor.text
