"""`charrnn serve`: a page that writes in the browser, models for it, and OpenAI's completions."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from charrnn.errors import InputError, Interrupted, format_reason, require_extra, shorten
from charrnn.files import OUTPUTS, resolve_run_path
from charrnn.options.ranges import NOT_EMPTY, ORIGINS, PATH, PORT, TEXT
from charrnn.say import say


@dataclass(kw_only=True)
class ServeOptions:
    """The options of the server; ``serve.yaml`` has their defaults and explanations."""

    checkpoint: Annotated[str | None, PATH]
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int, PORT]
    names: Annotated[list[str] | None, TEXT]
    origins: Annotated[list[str] | None, ORIGINS]
    train: bool


OPTIONS = ServeOptions
FIRST_WORD = "checkpoint"


def run(options: ServeOptions) -> None:
    """Serve until Ctrl-C or SIGTERM, and finish the requests that have started."""
    with require_extra("serve needs its packages", "serve"):
        import uvicorn

        from charrnn.extras.serve.app import make_app
        from charrnn.extras.serve.served_models import list_models, open_sampler
        from charrnn.extras.serve.trainings import Trainings
    with _listen(options.host, options.port) as listening:
        ip = ipaddress.ip_address(listening.getsockname()[0])
        models = Path(resolve_run_path(options.checkpoint)) if options.checkpoint else None
        if models is None and ip.is_loopback:
            models = OUTPUTS
        trainings = Trainings(OUTPUTS / "serve") if options.train and ip.is_loopback else None
        origins = ["null" if origin == "file" else origin for origin in options.origins or ()]
        config = uvicorn.Config(
            make_app(models, trainings, options.names or (), origins),
            log_config=None,
            log_level="error",  # not the mistakes of clients
            access_log=False,
            server_header=False,
            limit_concurrency=256,
            timeout_graceful_shutdown=30,
            ws="none",
        )
        found = list_models(models)
        if options.checkpoint and len(found) == 1:
            open_sampler(*next(iter(found.values())))  # refuses a damaged file early
        _say_addresses(", ".join(found), ip, listening.getsockname()[1])
        with contextlib.suppress(Interrupted):  # uvicorn raises the signal again at its end.
            uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """Open a socket. Clients can connect to it before the server runs, and then wait."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        reason = f"{format_reason(error)}; another port may be free: port=8081"
        raise InputError(f"host={shorten(host)} port={port}: {reason}") from None


def _say_addresses(names: str, ip: Any, port: int) -> None:
    """Print the address of the server or, for other machines, two addresses and a QR code."""
    host = str(ip)
    if ip.is_unspecified:  # The system chooses an interface. No packet is sent to this address.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(("203.0.113.1", 9))  # which nobody has (RFC 5737)
            host = udp.getsockname()[0]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    say(f"serving {shorten(names) or 'a page that learns a text'} at {address}")
    if not ip.is_loopback:
        import segno

        say(f"on this machine: http://localhost:{port}")
        if sys.stderr.isatty():
            segno.make(address, micro=False).terminal(sys.stderr, compact=True)
