"""The listening socket, and the server's life on it."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

from charrnn.errors import RunError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises:
        RunError: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise RunError(f"host={host}: {_reason(error)}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise RunError(
            f"port={port}: cannot listen on {host}:{port} ({_reason(error)}); give another"
        ) from None
    return listening


def address_of(listening: socket.socket) -> str:
    """The address that a browser is given."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, listening: socket.socket, *, connections: int, drain: int) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that are under way.

    The signal that ended it is raised again when all is done, for whoever called this.

    Args:
        connections: more are answered with 503.
        drain: seconds for what is under way.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=connections,
        timeout_graceful_shutdown=drain,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listening])


def _reason(error: OSError | UnicodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "is no name of a host"
