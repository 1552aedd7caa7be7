"""The listening socket, and the server's life."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys

import uvicorn
from fastapi import FastAPI

from charrnn.errors import InputError, RunError, short
from charrnn.extras.serve.limits import HEAD_BYTES, Connection

_BACKLOG = 2048  # connections that wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to; they wait for `serve`.

    Raises:
        InputError: the host is none of this machine's.
        RunError: the port is taken.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # of a name that means both, such as localhost, what older clients try first
        family, _, _, _, address = min(addresses, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason, number = "is no name of a host", getattr(error, "errno", None) or 0
        if isinstance(error, OSError):  # Python's own text of an errno has the address again
            reason = os.strerror(number) if number > 0 else error.strerror or reason
        refused = RunError if number == errno.EADDRINUSE else InputError
        raise refused(
            f"host={short(host)} port={port}: {reason}; give a free port, and a name or an address "
            f"of this machine without brackets, or host=0.0.0.0 for all"
        ) from None


def address_of(listening: socket.socket) -> str:
    """The address that a browser is given."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket, drain_seconds: int) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that are under way.

    The signal that ended it is raised again when all is done, for whoever called this.
    """
    config = uvicorn.Config(
        app,
        http=Connection,  # type: ignore[arg-type]  # has what a protocol has by __getattr__
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_config=None,
        log_level="critical",  # what clients do wrong fills no log; faults are the app's to tell
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=drain_seconds,
        ws="none",
    )
    # The thread that writes asks for the interpreter's lock several times a chunk, and gets it when
    # the one that answers has had its turn; what a request makes is freed at its end without a
    # search for garbage.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(20_000)
    uvicorn.Server(config).run(sockets=[listening])
