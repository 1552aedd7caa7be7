"""`charrnn serve`: completions over HTTP, and a page to write with."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from charrnn.errors import STOPPING, InputError, Interrupted, install, terminate
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.cli.command_line import Line
    from charrnn.cli.overrides import Override
    from charrnn.models.trained import Trained

OPTIONS = ServeOptions
FIRST_WORD = "checkpoint"


def prepare_line(line: Line) -> Line:
    """Return the line in which `models.NAME=PATH` adds a model, and its path is literal."""
    if line.find_last("checkpoint").value is not None and any(map(_is_model, line.overrides)):
        raise InputError("checkpoint: give one model with it, or all with models.NAME=PATH")
    kinds = (str, list[str])
    return line.map_overrides(
        lambda o: replace(o, prefix="+").read_texts(kinds, line.multirun) if _is_model(o) else o
    )


def _is_model(override: Override) -> bool:
    return override.key.startswith("models.") and override.prefix != "~"


def run(options: ServeOptions) -> None:
    """Listen until SIGTERM, and then answer what was asked before."""
    for signum in STOPPING:  # the server drains at SIGTERM, and Ctrl-C stays what it is
        if signum != signal.SIGTERM and signal.getsignal(signum) is terminate:
            signal.signal(signum, lambda *_: signal.raise_signal(signal.SIGTERM))
    with contextlib.suppress(Interrupted):  # to be told to stop is a good end
        _serve(options)


def _serve(options: ServeOptions) -> None:
    try:
        from charrnn.extras.serve.app import make_app
        from charrnn.extras.serve.server import address_of, listen, serve
    except ModuleNotFoundError as error:
        raise InputError(f"serve needs the package {error.name}: {install('serve')}") from None
    from charrnn.cpu import collect_garbage_again
    from charrnn.extras.serve.served_models import Served
    from charrnn.text.sources import find_files

    collect_garbage_again()
    if options.corpus is not None:
        find_files(options.corpus)  # which is read only when a page asks
    listen(options.host, options.port).close()  # or refuse, before what takes long
    models = {name: Served(name, model, options) for name, model in _models(options).items()}
    with listen(options.host, options.port) as listening:
        is_local = ipaddress.ip_address(listening.getsockname()[0]).is_loopback
        if options.token is None and not is_local:
            host = f"host={options.host}"
            say(f"{host}: anybody who reaches this machine can use it; token= asks for one")
        app = make_app(models, options, address=address_of(listening), is_local=is_local)
        serve(app, listening, options.drain_seconds)


def _models(options: ServeOptions) -> dict[str, Trained]:
    from charrnn.models.trained import with_counts
    from charrnn.runs.model_lookup import read_models
    from charrnn.text.training_text import corpus_name

    if options.models:
        models = {name: read_models(path) for name, path in options.models.items()}
    else:
        model = read_models(options.checkpoint, options.weights)
        models = {corpus_name(model.facts) or "charrnn": model}
    return {name: with_counts(model, options.counts) for name, model in models.items()}
