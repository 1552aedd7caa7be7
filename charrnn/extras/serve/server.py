"""Open the listening socket, and run the server."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys

import uvicorn
from fastapi import FastAPI

from charrnn.errors import InputError, RunError, shorten
from charrnn.extras.serve.limits import HEAD_BYTES, Connection

_BACKLOG = 2048  # connections that may wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """Open a socket. Clients can connect to it, and wait until `serve` runs.

    Raises:
        InputError: the host is not an address of this machine.
        RunError: the port is in use.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Prefer IPv4 for a name with both, such as localhost, because older clients try it first.
        family, _, _, _, address = min(addresses, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason, number = "is not a host name", getattr(error, "errno", None) or 0
        if isinstance(error, OSError):  # str(error) would repeat the address.
            reason = os.strerror(number) if number > 0 else error.strerror or reason
        error_type = RunError if number == errno.EADDRINUSE else InputError
        raise error_type(
            f"host={shorten(host)} port={port}: {reason}; give a free port, and a name or address "
            f"of this machine without brackets, or host=0.0.0.0 for all addresses"
        ) from None


def format_url(listening: socket.socket) -> str:
    """Return the URL of the server."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket, drain_seconds: int) -> None:
    """Serve until SIGTERM or SIGINT, and finish the requests that have started.

    uvicorn then raises the signal again for the caller.
    """
    config = uvicorn.Config(
        app,
        http=Connection,  # type: ignore[arg-type]  # __getattr__ provides the protocol's methods
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_config=None,
        log_level="critical",  # Errors of clients are not logged; the app logs internal errors.
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=drain_seconds,
        ws="none",
    )
    # The scheduler's thread needs the GIL several times per chunk, so a short switch interval
    # reduces its waits. A request leaves little garbage in cycles, so rare collections are enough.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(20_000)
    uvicorn.Server(config).run(sockets=[listening])
