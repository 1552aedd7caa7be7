"""The listening socket, and the server's life on it."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any

import uvicorn

from charrnn.errors import InputError, RunError, shown
from charrnn.serving.connections import Arriving, Connection

_BACKLOG = 2048  # connections that wait to be accepted


def bind(host: str, port: int) -> socket.socket:
    """A socket with an address of this machine, on which nobody listens yet.

    Raises:
        InputError: the host is none of this machine's.
        RunError: the port cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # of a name that means both, such as localhost, what older clients try first
        family, kind, protocol, _, address = min(found, key=lambda f: f[0] != socket.AF_INET)
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"host={shown(host)}: {_reason(error)}; give a name or an address of this machine, "
            f"without brackets, and the port as port="
        ) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"host={shown(host)}: is no address of this machine; 0.0.0.0 stands for all"
            ) from None
        raise _cannot_listen(host, port, error) from None
    return bound


def listen(bound: socket.socket) -> None:
    """Let clients in; they wait for `serve`.

    Raises:
        RunError: another has listened there since it was bound.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: OSError) -> RunError:
    return RunError(f"port={port}: cannot listen on {host}:{port} ({_reason(error)}); give another")


def address_of(bound: socket.socket) -> str:
    """The address that a browser is given."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, bound: socket.socket, *, connections: int, seconds: float, drain: int) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that are under way.

    The signal that ended it is raised again when all is done, for whoever called this.

    Args:
        connections: more are answered with 503; half of them may have a request that has not
            arrived yet.
        seconds: that the head of a request may take to arrive.
        drain: seconds for what is under way.
    """

    class Limited(Connection):
        arriving = Arriving(max(1, connections // 2), seconds)

    config = uvicorn.Config(
        app,
        http=Limited,
        log_config=None,
        log_level="error",  # what clients do wrong fills no log
        access_log=False,
        server_header=False,
        limit_concurrency=connections + 1,  # which uvicorn turns away itself
        backlog=_BACKLOG,
        timeout_graceful_shutdown=drain,
        ws="none",
    )
    logging.getLogger("uvicorn.error").addFilter(_is_a_fault)
    uvicorn.Server(config).run(sockets=[bound])


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Whether a record tells of more than that requests were cancelled, at a forced end."""
    return "CancelledError" not in logging.Formatter().format(record)


def _reason(error: OSError | UnicodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "is no name of a host"
