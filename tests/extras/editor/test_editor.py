"""The editor, with keys that are pressed and a screen that nobody sees."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prompt_toolkit", reason="the extra interactive is not installed")
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from charrnn.extras.editor.editor import CONTEXT, Continuations, Editor
from charrnn.generation.sampler import Sampler
from charrnn.model import Model
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

ASKED = SamplingParams(30, num_samples=3, seed=5, engine="numpy")
ALT, TAB, UNDO, REDO, KEEP, QUIT = "\x1b", "\t", "\x1a", "\x19", "\x13", "\x11"
MODEL = trained_model(vocabulary=Vocabulary(list(" \nAHBZomabcne:!")), conviction=1)

Press = Callable[..., Coroutine[Any, Any, None]]


async def until(holds: Callable[[], object]) -> None:
    """Let the editor go on until something holds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to hold")


def with_editor(
    does: Callable[[Editor, PipeInput], Coroutine[Any, Any, None]],
    keep: Path = Path("unused"),
    asked: SamplingParams = ASKED,
    model: Any = MODEL,
) -> str:
    """The text after an editor ran, in which `does` presses keys."""

    async def run() -> str:
        with create_pipe_input() as keys:
            editor = Editor(Sampler(model), asked, keep, keys, DummyOutput())
            running = asyncio.create_task(editor.run())
            await does(editor, keys)
            keys.send_text(QUIT)
            await running
            return editor.text

    return asyncio.run(run())


def written(editor: Editor, length: int = 30) -> Callable[[], bool]:
    return lambda: (
        editor.continuations is not None
        and all(len(t) == length for t in editor.continuations.texts)
    )


def expected(start: str, seed: int = 5, **how: Any) -> list[str]:
    return Model(MODEL).generate(30, start, num_samples=3, seed=seed, **how)


def test_type_continue_and_take_a_part_and_the_rest() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("Hm: ")
        await until(lambda: editor.text == "Hm: ")
        keys.send_text(TAB)
        await until(written(editor))
        assert editor.continuations is not None
        assert editor.continuations.texts == expected("Hm: ")
        keys.send_text(ALT + "2")
        await until(lambda: editor.text != "Hm: ")
        taken = editor.text.removeprefix("Hm: ")
        assert expected("Hm: ")[1].startswith(taken)
        assert len(taken.split()) == 1
        assert editor.continuations.texts[0] == editor.continuations.texts[2] == ""
        keys.send_text(ALT + "\r")
        await until(lambda: editor.continuations is None)

    assert with_editor(does) == "Hm: " + expected("Hm: ")[1]


def test_others_at_each_request_and_none_at_all() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("A" + TAB)
        await until(written(editor))
        assert editor.continuations is not None
        assert editor.continuations.texts == expected("A")
        first = editor.continuations
        keys.send_text(TAB)
        await until(lambda: editor.continuations is not first and written(editor)())
        assert editor.continuations.texts == expected("A", seed=6)
        keys.send_text("b")  # which is none of them
        await until(lambda: editor.continuations is None)
        keys.send_text(TAB)
        await until(written(editor))
        keys.send_text(ALT)
        await until(lambda: editor.continuations is None)

    assert with_editor(does) == "Ab"


def test_undo_and_redo() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("Hm: " + TAB)
        await until(written(editor))
        keys.send_text(ALT + "2")
        await until(lambda: len(editor.text) > 4)
        one_word = editor.text
        keys.send_text(ALT + "\r")
        await until(lambda: editor.continuations is None)
        whole = editor.text
        assert whole == "Hm: " + expected("Hm: ")[1] != one_word
        keys.send_text(UNDO)
        await until(lambda: editor.text == one_word)
        keys.send_text(UNDO)
        await until(lambda: editor.text == "Hm: ")
        keys.send_text(REDO + REDO)
        await until(lambda: editor.text == whole)
        keys.send_text(UNDO + UNDO)

    assert with_editor(does) == "Hm: "


def test_it_goes_on_where_the_cursor_is() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("AB" + "\x1b[D" + TAB)
        await until(written(editor))
        assert editor.continuations is not None
        assert editor.continuations.texts == expected("A")
        keys.send_text(ALT + "\r")
        await until(lambda: editor.continuations is None)

    assert with_editor(does) == "A" + expected("A")[0] + "B"


def test_temperature_and_length() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text((ALT + "-") * 3 + ALT + "+" + ALT + "." + TAB)
        await until(written(editor, 60))
        assert editor.temperature == 0.6
        assert editor.continuations is not None
        assert editor.continuations.texts == Model(MODEL).generate(
            60, temperature=0.6, num_samples=3, seed=5
        )
        keys.send_text((ALT + "-") * 9)
        await until(lambda: editor.temperature == 0)
        keys.send_text((ALT + ",") * 9)
        await until(lambda: editor.length == 10)

    with_editor(does)


def test_what_one_likes_is_kept_in_a_file(tmp_path: Path) -> None:
    keep = tmp_path / "deep" / "kept.txt"

    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("Zoë" + KEEP)
        await until(lambda: editor.message == f"kept in {keep}")
        keys.send_text("!" + KEEP)
        await until(lambda: editor.message == f"kept in {keep}" and "!" in keep.read_text("utf-8"))

    with_editor(does, keep)
    assert keep.read_text("utf-8") == "Zoë\n----------\nZoë!\n----------\n"

    async def fails(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("A" + KEEP)
        await until(lambda: "cannot be written" in editor.message)

    assert with_editor(fails, tmp_path) == "A"


def test_a_start_text_and_characters_that_the_model_does_not_know() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        assert editor.text == "né"
        keys.send_text(TAB)
        await until(written(editor))
        assert editor.continuations is not None
        assert editor.continuations.texts == expected("ne")

    assert with_editor(does, asked=replace(ASKED, start_text="né")) == "né"


def test_what_goes_wrong_is_told() -> None:
    async def does(editor: Editor, keys: PipeInput) -> None:
        keys.send_text("A" + TAB)
        await until(lambda: "every character" in editor.message)

    everything = "".join(MODEL.vocabulary.characters)
    assert with_editor(does, asked=replace(ASKED, ban=everything)) == "A"


def test_a_long_text_is_read_from_near_its_end() -> None:
    long = "ab" * CONTEXT
    made = Continuations(Sampler(MODEL), long, ASKED)
    made.write(lambda: None)
    assert made.texts == expected(long[-CONTEXT:])


def test_bytes_are_shown_as_characters() -> None:
    vocabulary = Vocabulary.from_tokens(["[195]", "[169]"])
    model = trained_model(vocabulary=vocabulary, conviction=1)
    made = Continuations(Sampler(model), "é", ASKED)
    made.write(lambda: None)
    assert set("".join(made.texts)) == {"é"}


WORDS = ["checkpoint=model.safetensors", "interactive=true", "seed=5", "start_text=Hm: "]
COMMAND = [sys.executable, "-m", "charrnn", "sample", *WORDS]


@contextmanager
def on_a_terminal(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command, when its editor is there, and the other end of its terminal."""
    import pty

    Model(MODEL).save(folder / "model.safetensors")
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        COMMAND, cwd=folder, stdin=follower, stdout=subprocess.PIPE, stderr=follower,
        env=environment,
    ) as process:  # fmt: skip
        os.close(follower)
        screen = b""
        while b"Ctrl-Q" not in screen:
            screen += os.read(leader, 4096)
        yield process, leader
    os.close(leader)


def test_the_command_gives_the_text_at_the_end(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as (process, terminal):
        os.write(terminal, f"yes{KEEP}{QUIT}".encode())
        assert process.stdout is not None
        assert process.stdout.read() == b"Hm: yes"
    assert process.returncode == 0
    assert (tmp_path / "kept.txt").read_text() == "Hm: yes\n----------\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_text_outlives_its_terminal(tmp_path: Path, signum: int) -> None:
    with on_a_terminal(tmp_path) as (process, terminal):
        process.send_signal(signum)
        assert process.wait(timeout=60) == 128 + signum
        assert b"kept in kept.txt" in os.read(terminal, 100_000)
    assert (tmp_path / "kept.txt").read_text() == "Hm: \n----------\n"


def test_without_a_terminal_it_is_refused(tmp_path: Path) -> None:
    Model(MODEL).save(tmp_path / "model.safetensors")
    refused = subprocess.run(
        COMMAND, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "charrnn sample: interactive=true: needs a terminal to write in\n"
