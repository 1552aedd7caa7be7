"""`charrnn serve`: completions over HTTP, and a page for writing."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli.overrides import find_word, get_key, quote_path
from charrnn.errors import (
    STOP_SIGNALS,
    InputError,
    Interrupted,
    RunError,
    format_install_command,
    shorten,
    terminate,
)
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.files import resolve_run_path
from charrnn.options.ranges import require
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.models.trained import TrainedModel

OPTIONS = ServeOptions
FIRST_WORD = "checkpoint"
_BACKLOG = 2048  # connections that may wait to be accepted


def prepare_words(words: list[str]) -> list[str]:
    """Return words in which each `models.NAME=PATH` adds a model with a literal path."""
    has_models = any(map(_is_model, words))
    if find_word(words, "checkpoint") and has_models:
        raise InputError("checkpoint: give either checkpoint=PATH or models.NAME=PATH, not both")
    return [quote_path(word) if _is_model(word) else word for word in words]


def _is_model(word: str) -> bool:
    return get_key(word).startswith("models.") and not word.startswith("~")


def run(options: ServeOptions) -> None:
    """Serve until SIGTERM, and finish the requests that have started."""
    for signum in STOP_SIGNALS:  # Other stop signals act like SIGTERM; Ctrl-C keeps its handler.
        if signum not in (signal.SIGTERM, signal.SIGINT) and signal.getsignal(signum) is terminate:
            signal.signal(signum, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        _serve(options)
    except ModuleNotFoundError as error:  # of the extra, which is imported when it is needed
        raise InputError(
            f"serve needs the package {error.name}: {format_install_command('serve')}"
        ) from None
    except Interrupted as stop:  # which is a normal end, but for Ctrl-C
        if stop.signum == signal.SIGINT:
            raise


def _serve(options: ServeOptions) -> None:
    from charrnn.text.sources import find_files

    folder = _find_folder(options)
    if options.corpus is not None:
        find_files(options.corpus)  # Only check the path; the first request reads the text.
    models = {} if folder else _read_models(options)
    # Requests wait in the socket while the slow imports run and the engines are built.
    with _listen(options.host, options.port) as listening:
        from charrnn.extras.serve.addresses import find_network_address
        from charrnn.extras.serve.app import make_app
        from charrnn.extras.serve.model_folder import ModelFolder
        from charrnn.extras.serve.served_models import ServedModel
        from charrnn.extras.serve.server import serve

        host, port = listening.getsockname()[:2]
        ip, notes = ipaddress.ip_address(host), []
        if ip.is_unspecified:  # Other computers cannot open 0.0.0.0.
            host = find_network_address() if ip.version == 4 else socket.gethostname()
            here = "127.0.0.1" if ip.version == 4 else "[::1]"
            notes = [f"on this machine: http://{here}:{port}"]
        elif ip.version == 6:
            host = f"[{host}]"
        if options.token is None and not ip.is_loopback:
            who = "anyone who can reach this machine can use the server"
            say(f"host={options.host}: {who}; CHARRNN_TOKEN=WORD charrnn serve asks them for WORD")
        served = {name: ServedModel(name, model, options) for name, model in models.items()}
        found = served if folder is None else ModelFolder(folder)
        url = f"http://{host}:{port}"
        app = make_app(found, options, address=url, notes=notes, is_local=ip.is_loopback)
        serve(app, listening, options.drain_seconds)


def _listen(host: str, port: int) -> socket.socket:
    """Open a socket. Clients can connect to it before the server runs, and then wait."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Prefer IPv4 for a name with both, such as localhost, because older clients try it first.
        family, _, _, _, address = min(addresses, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        number, reason = getattr(error, "errno", None) or 0, getattr(error, "strerror", None)
        if number > 0:  # The error's text would repeat the address.
            reason = os.strerror(number)
        where = f"host={shorten(host)} port={port}: {reason or 'is not a host name'}"
        if number == errno.EACCES:
            raise InputError(f"{where}; choose a port above 1023: port=8080") from None
        if number == errno.EADDRINUSE:
            hint = (
                f"another server uses it, perhaps your last one: open http://127.0.0.1:{port}, or "
                f"choose another port: port={port + 1 if port < 65535 else 8080}"
            )
            raise RunError(f"{where}; {hint}") from None
        hint = "give a name or address of this machine, without brackets"
        raise InputError(f"{where}; {hint}") from None


def _read_models(options: ServeOptions) -> dict[str, TrainedModel]:
    """Return the models by their names; none if no run has a model yet."""
    from charrnn.models.trained import select_counts
    from charrnn.runs.model_lookup import find_model, find_newest, read_model
    from charrnn.text.training_text import get_corpus_name

    models = {}
    newest = None if options.models or options.checkpoint else find_newest()
    for name, path in (options.models or {None: options.checkpoint or newest}).items():
        if path is not None:
            model = select_counts(read_model(find_model(path)), options.counts)
            models[name or get_corpus_name(model.facts) or "charrnn"] = model
    return models


def _find_folder(options: ServeOptions) -> Path | None:
    """Return the folder of `checkpoint` if it is neither a run nor a sweep."""
    from charrnn.runs.folder import find_best_file, is_run, is_sweep

    if options.models or options.checkpoint is None:
        return None
    folder = Path(resolve_run_path(options.checkpoint))
    if not folder.is_dir() or is_run(folder) or is_sweep(folder) or find_best_file(folder):
        return None
    hint = f"is for one model, and {folder} may have several below it; leave it out"
    require(options.corpus is None, "corpus", options.corpus, hint)
    return folder
