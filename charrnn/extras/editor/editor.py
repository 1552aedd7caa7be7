"""An editor in the terminal: one writes, the model goes on, one takes what one likes of it.

The text is above, several continuations of it stand side by side below, and a line tells the
keys. Nothing of a continuation is in the text until it is taken.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import (
    BufferControl,
    FormattedTextControl,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style

from charrnn.errors import STOPPING, InputError, Interrupted, RunError
from charrnn.generation.sampler import Sampler
from charrnn.options.ranges import temperatures_of
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import as_bytes

CONTEXT = 5000  # characters before the cursor that are read; a state does not reach further back
_WORD = re.compile(r"\s*\S+|\s+")


class Continuations:
    """Written side by side, piece by piece, by whoever calls `write`, in a thread of its own.

    Args:
        before: the text that they go on from; its beginning is left out where it is long.
        asked: all else; `num_samples` of them.

    Attributes:
        texts: the continuations as far as they are written.
    """

    def __init__(self, sampler: Sampler, before: str, asked: SamplingParams) -> None:
        self._sampler = sampler
        self._is_bytes = sampler.model.vocabulary.is_bytes
        self._asked = replace(asked, start_text=before[-CONTEXT:], unknown="replace")
        if len(before) > CONTEXT:
            self._asked = replace(self._asked, prime="none")
        self._written = [""] * asked.num_samples
        self._dropped = False
        self.texts = list(self._written)

    def write(self, on_change: Callable[[], None]) -> None:
        """Write until all have ended, or `drop` is called.

        Raises:
            InputError, RunError: as `Sampler.write`.
        """
        for piece in self._sampler.write(self._asked):
            if self._dropped:
                return
            self._written[piece.sample] += piece.text
            self.texts[piece.sample] = self._shown(piece.sample)
            on_change()

    def drop(self) -> None:
        """They are not wanted any more."""
        self._dropped = True

    def take_word(self, number: int) -> str:
        """The next word of one of them, which it then lacks; the others are empty then."""
        # what is still being written would not fit what is left
        self.drop()
        text = self.texts[number]
        word = _WORD.match(text)
        taken = word[0] if word else text
        self.texts = [""] * len(self.texts)
        self.texts[number] = text[len(taken) :]
        return taken

    def take_all(self, number: int) -> str:
        """All that is left of one of them."""
        self.drop()
        return self.texts[number]

    def _shown(self, number: int) -> str:
        text = self._written[number]
        # bytes as the characters that they are; the last one may not be whole yet
        return as_bytes(text).decode("utf-8", "ignore") if self._is_bytes else text


MOST_SIDE_BY_SIDE = 9
RULE = "----------"  # after each text that is kept
_KEYS = (
    "Tab continue   Alt-1 a word of 1   Alt-Enter the rest   Esc none   Ctrl-Z undo\n"
    "Alt - + temperature   Alt , . length   Ctrl-S keep   Ctrl-Q quit"
)
_STYLE = Style.from_dict({"rule": "reverse", "title": "bold underline"})


class Editor:
    """One text that is written by hand and by a model.

    Args:
        asked: how the model writes; `num_samples` continuations of `length` characters, at most
            `MOST_SIDE_BY_SIDE`, with other random numbers each time; `start_text` is what the
            text is at first.
        keep: the file at whose end a text is put that is kept.
        input, output: instead of the terminal's.

    Attributes:
        buffer: the text.
        continuations: those that stand below it.
        message: what is told in the last line but one; "" for nothing.
    """

    def __init__(
        self,
        sampler: Sampler,
        asked: SamplingParams,
        keep: Path,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._sampler = sampler
        self.asked = replace(asked, num_samples=min(asked.num_samples, MOST_SIDE_BY_SIDE))
        self.temperature = temperatures_of(asked.temperature)[0]
        self.length = asked.length
        self.keep = keep
        self.message = ""
        self.continuations: Continuations | None = None
        self._requests = 0
        self._taking = False
        self._begun = 0
        self.buffer = Buffer(multiline=True, on_text_changed=lambda _: self._text_changed())
        self.buffer.insert_text(asked.start_text)
        self.app: Application[None] = Application(
            self._layout(),
            key_bindings=self._keys(),
            style=_STYLE,
            full_screen=True,
            mouse_support=False,
            input=input,
            output=output,
        )
        self.app.ttimeoutlen = 0.1  # seconds after which Esc is itself, and no Alt

    @property
    def text(self) -> str:
        return self.buffer.text

    async def run(self) -> None:
        """Until one quits.

        Raises:
            Interrupted: the terminal was closed, or SIGTERM came; the text is kept first.
        """
        loop = asyncio.get_running_loop()
        for signum in STOPPING.keys() - {signal.SIGINT}:
            loop.add_signal_handler(signum, self._end, signum)
        await self.app.run_async()

    def _end(self, signum: int) -> None:
        """Keep what was written, for whoever wrote it has no time to."""
        if self.text:
            self._keep()
        self._drop()
        self.app.exit(exception=Interrupted(self.message or "terminated", signum))

    # What the keys do

    def _text_changed(self) -> None:
        self.message = ""
        if not self._taking:
            self._drop()

    def _drop(self) -> None:
        if self.continuations is not None:
            self.continuations.drop()
            self.continuations = None

    def _continue(self) -> None:
        """Ask for continuations of what stands before the cursor."""
        self._drop()
        self._begun = 0
        seed = ((self.asked.seed or 0) + self._requests) % 2**63
        self._requests += 1
        asked = replace(self.asked, seed=seed, temperature=self.temperature, length=self.length)
        before = self.buffer.document.text_before_cursor
        self.continuations = made = Continuations(self._sampler, before, asked)
        self.app.create_background_task(self._write(made))

    async def _write(self, continuations: Continuations) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, continuations.write, self.app.invalidate)
        except (InputError, RunError) as error:
            self.message = str(error)
        self.app.invalidate()

    def _take_word(self, number: int) -> None:
        """Put the next word of a continuation into the text; the others do not fit any more."""
        if self.continuations is not None:
            self._begun = number
            self._insert(self.continuations.take_word(number))

    def _take_the_rest(self) -> None:
        """All of the continuation whose words are being taken; of the first, if none is."""
        if self.continuations is not None:
            self._insert(self.continuations.take_all(self._begun))
            self._drop()

    def _insert(self, taken: str) -> None:
        self._taking = True
        try:
            self.buffer.insert_text(taken)
        finally:
            self._taking = False

    def _keep(self) -> None:
        """Put the text at the end of the file, or tell why not."""
        try:
            self.keep.parent.mkdir(parents=True, exist_ok=True)
            with self.keep.open("ab") as file:
                file.write(as_bytes(f"{self.text}\n{RULE}\n"))
            self.message = f"kept in {self.keep}"
        except OSError as error:
            self.message = f"{self.keep}: cannot be written ({error.strerror})"

    def _warm(self, by: float) -> None:
        self.temperature = max(0.0, round(self.temperature + by, 1))

    def _lengthen(self, factor: float) -> None:
        self.length = max(10, min(2000, round(self.length * factor)))

    def _quit(self) -> None:
        self._drop()
        self.app.exit()

    def _keys(self) -> KeyBindings:
        actions: dict[tuple[str, ...], Callable[[], object]] = {
            ("tab",): self._continue,
            ("escape", "enter"): self._take_the_rest,
            ("escape",): self._drop,
            ("escape", "-"): partial(self._warm, -0.1),
            ("escape", "+"): partial(self._warm, 0.1),
            ("escape", "="): partial(self._warm, 0.1),  # the same key, without shift
            ("escape", ","): partial(self._lengthen, 0.5),
            ("escape", "."): partial(self._lengthen, 2.0),
            ("c-s",): self._keep,
            ("c-q",): self._quit,
            ("c-c",): self._quit,
        }
        for number in range(self.asked.num_samples):
            actions["escape", str(number + 1)] = partial(self._take_word, number)
        keys = KeyBindings()
        for names, action in actions.items():
            keys.add(*names)(_handler(action))
        # these go back to what was saved, and save nothing themselves
        for name, action in (("c-z", self.buffer.undo), ("c-y", self.buffer.redo)):
            keys.add(name, save_before=lambda _: False)(_handler(action))
        return keys

    # What is seen

    def _layout(self) -> Layout:
        columns = [
            Window(
                FormattedTextControl(partial(self._column, n)),
                wrap_lines=True,
                width=Dimension(min=8, preferred=8, weight=1),
            )
            for n in range(self.asked.num_samples)
        ]
        text = Window(BufferControl(self.buffer), wrap_lines=True)
        below = VSplit(columns, padding=1, padding_char="|", height=Dimension(min=3, max=9))
        return Layout(
            HSplit(
                [
                    text,
                    Window(FormattedTextControl(self._status), height=1, style="class:rule"),
                    below,
                    Window(FormattedTextControl(_KEYS), height=2),
                ]
            ),
            focused_element=text,
        )

    def _column(self, number: int) -> StyleAndTextTuples:
        shown = self.continuations
        text = shown.texts[number] if shown is not None else ""
        return [("class:title", f"{number + 1}"), ("", f" {text}" if text else "")]

    def _status(self) -> str:
        told = f"temperature {self.temperature:g}, {self.length} characters"
        return f"{told}: {self.message}" if self.message else told


def _handler(action: Callable[[], object]) -> Callable[[KeyPressEvent], None]:
    """A key's handler that does this."""

    def handle(event: KeyPressEvent) -> None:
        action()

    return handle
