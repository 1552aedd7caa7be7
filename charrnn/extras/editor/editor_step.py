"""`charrnn sample interactive=true`: write together with a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charrnn.commands.output import opened
from charrnn.commands.sample import SampleStep
from charrnn.errors import InputError, needing
from charrnn.extras.editor.editor_options import EditorOptions
from charrnn.generation.sampler import Sampler
from charrnn.options.commands import SampleOptions
from charrnn.options.sampling import SamplingParams

KEPT = "kept.txt"
_LEAST_SIDE_BY_SIDE = 3
_LONGEST = 120  # characters of a continuation at first, where length= is more


def editor_step(options: SampleOptions, sampler: Sampler) -> SampleStep | None:
    """The editor, if it is asked for."""
    asked = isinstance(options, EditorOptions) and options.interactive
    return EditorStep(sampler) if asked else None


class EditorStep(SampleStep):
    """Lets the editor write the text."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def instead(self, asked: Sequence[SamplingParams], output: str | None) -> bool:
        """Open the editor; what stands in it at the end goes to standard output."""
        draft = write_together(self._sampler, asked[0], output)
        with opened(None) as write:
            write(draft + "\n" * (sys.stdout.isatty() and draft != ""))
        return True


def write_together(sampler: Sampler, asked: SamplingParams, keep: str | None) -> str:
    """Open the editor; the text that is there when one quits.

    Args:
        keep: the file for what is kept; kept.txt if None.

    Raises:
        InputError: there is no terminal, or the extra `interactive` is not installed.
    """
    if not sys.stdin.isatty() or not (sys.stdout.isatty() or sys.stderr.isatty()):
        raise InputError("interactive=true: needs a terminal to write in")
    import asyncio

    with needing("interactive=true: needs prompt_toolkit", "interactive"):
        from prompt_toolkit.output import create_output

        from charrnn.extras.editor.editor import Editor

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
