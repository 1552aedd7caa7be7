"""`charrnn serve`: completions over HTTP, and a page for writing."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from charrnn.errors import STOP_SIGNALS, InputError, Interrupted, format_install_command, terminate
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.cli.command_line import Line
    from charrnn.cli.overrides import Override
    from charrnn.models.trained import Trained

OPTIONS = ServeOptions
FIRST_WORD = "checkpoint"


def prepare_line(line: Line) -> Line:
    """Return a line in which each `models.NAME=PATH` adds a model with a literal path."""
    if line.find_last("checkpoint").value is not None and any(map(_is_model, line.overrides)):
        raise InputError("checkpoint: give either checkpoint=PATH or models.NAME=PATH, not both")
    kinds = (str, list[str])
    return line.map_overrides(
        lambda o: replace(o, prefix="+").read_texts(kinds, line.multirun) if _is_model(o) else o
    )


def _is_model(override: Override) -> bool:
    return override.key.startswith("models.") and override.prefix != "~"


def run(options: ServeOptions) -> None:
    """Serve until SIGTERM, and finish the requests that have started."""
    for signum in STOP_SIGNALS:  # Other stop signals act like SIGTERM; Ctrl-C keeps its handler.
        if signum != signal.SIGTERM and signal.getsignal(signum) is terminate:
            signal.signal(signum, lambda *_: signal.raise_signal(signal.SIGTERM))
    with contextlib.suppress(Interrupted):  # A stop signal is a normal end.
        _serve(options)


def _serve(options: ServeOptions) -> None:
    from charrnn.extras.serve.listening import format_url, listen
    from charrnn.text.sources import find_files

    if options.corpus is not None:
        find_files(options.corpus)  # Only check the path; the first request reads the text.
    models = _read_models(options)
    # Requests wait in the socket while the slow imports run and the engines are built.
    with listen(options.host, options.port) as listening:
        try:
            from charrnn.extras.serve.app import make_app
            from charrnn.extras.serve.served_models import ServedModel
            from charrnn.extras.serve.server import serve
        except ModuleNotFoundError as error:
            raise InputError(
                f"serve needs the package {error.name}: {format_install_command('serve')}"
            ) from None
        is_local = ipaddress.ip_address(listening.getsockname()[0]).is_loopback
        if options.token is None and not is_local:
            host = f"host={options.host}"
            say(f"{host}: anyone who can reach this machine can use the server; set token=")
        served = {name: ServedModel(name, model, options) for name, model in models.items()}
        app = make_app(served, options, address=format_url(listening), is_local=is_local)
        serve(app, listening, options.drain_seconds)


def _read_models(options: ServeOptions) -> dict[str, Trained]:
    from charrnn.models.trained import select_counts
    from charrnn.runs.model_lookup import read_models
    from charrnn.text.training_text import get_corpus_name

    if options.models:
        models = {name: read_models(path) for name, path in options.models.items()}
    else:
        model = read_models(options.checkpoint, options.weights)
        models = {get_corpus_name(model.facts) or "charrnn": model}
    return {name: select_counts(model, options.counts) for name, model in models.items()}
