"""`charrnn serve`: completions over HTTP, and a page to write with."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from charrnn.cli.literal import quoted
from charrnn.errors import STOPPING, InputError, install, shown, terminate
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.imports import first_import
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.models.ensemble import Trained


_MODEL = re.compile(r"\+{0,2}models\.([^=]*)=(.*)", re.DOTALL)
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]*")


def prepare_overrides(overrides: list[str]) -> list[str]:
    """`models.NAME=PATH` adds a model, and its path is taken literally."""
    models = [match for override in overrides if (match := _MODEL.fullmatch(override))]
    if models and any(o.startswith("checkpoint=") for o in overrides):
        raise InputError("checkpoint: give one model with it, or all with models.NAME=PATH")
    return [_model(match) if (match := _MODEL.fullmatch(o)) else o for o in overrides]


def _model(match: re.Match[str]) -> str:
    name, path = match.groups()
    if not _NAME.fullmatch(name):
        raise InputError(
            f"models.{shown(name)}: a name begins with a letter, and has letters, digits, _ and - "
            f"only"
        )
    is_hydras = path[:1] in ("'", '"', "[")
    return f"+models.{name}={path if is_hydras else quoted(path)}"


def run(options: ServeOptions) -> None:
    """Listen until SIGTERM, and then answer what was asked before."""
    with _ended_by_sigterm():
        try:
            with first_import("fastapi"):
                from charrnn.extras.serve.app import make_app
                from charrnn.extras.serve.server import bind, listen, serve
        except ModuleNotFoundError as error:
            raise InputError(f"serve needs the package {error.name}: {install('serve')}") from None
        from charrnn.extras.serve.copied_passages import Copies
        from charrnn.extras.serve.served_models import HowToRead
        from charrnn.models.ensemble import read_models, with_counts
        from charrnn.text.sources import find_files

        if options.corpus is not None:
            find_files(options.corpus)  # which is read only when a page asks
        with bind(options.host, options.port) as bound:
            if options.models:
                models = {name: read_models(path) for name, path in options.models.items()}
            else:
                model = read_models(options.checkpoint, options.weights)
                models = {_name(options.checkpoint, model): model}
            models = {name: with_counts(model, options.counts) for name, model in models.items()}
            app = make_app(
                models,
                options,
                engine=options.engine,
                precision=options.precision,
                reading=HowToRead(options.unknown, options.prime),
                copies=Copies(options.corpus),
                token=options.token,
                cors=options.cors or (),
                host=options.host if _is_local(bound) else None,
                cache_bytes=options.cache_mb << 20,
                started=lambda: _announce(bound, options, list(models)),
            )
            listen(bound)
            serve(
                app,
                bound,
                connections=options.max_connections,
                seconds=options.max_seconds,
                drain=options.drain_seconds,
            )


def _announce(bound: socket.socket, options: ServeOptions, names: list[str]) -> None:
    """Say where it listens: from here on a signal finds the server ready for it."""
    from charrnn.extras.serve.server import address_of

    if options.token is None and not _is_local(bound):
        say(f"host={options.host}: whoever reaches this machine can ask; token= forbids it")
    say(f"serving {', '.join(names)} at {address_of(bound)}")


def _name(checkpoint: str | list[str] | None, model: Trained) -> str:
    """What a model is called that was given no name: its file or folder, without an ending.

    A folder named by the time of its run, and the file that every run writes, have no name to
    give; the model is then called as its training text.
    """
    from charrnn.training_text import corpus_name

    if checkpoint is None:
        return corpus_name(model) or "latest"
    first = checkpoint if isinstance(checkpoint, str) else checkpoint[0]
    stem = os.path.splitext(os.path.basename(os.path.realpath(first)))[0]
    is_name = re.search("[A-Za-z]", stem) and stem != "model"
    return stem if is_name else corpus_name(model) or stem


def _is_local(bound: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    from charrnn.extras.serve.limits import is_loopback

    return is_loopback(bound.getsockname()[0])


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """For a server, to be told to stop is a good end: exit code 0. The other signals say the same,
    by SIGTERM, for which the event loop has a handler of its own."""

    def end(signum: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    def by_sigterm(signum: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    before: dict[int, Any] = {s: signal.getsignal(s) for s in STOPPING}
    for signum in before:
        if before[signum] is terminate:
            signal.signal(signum, by_sigterm)
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
