"""Open the listening socket. Clients can connect to it before the server runs, and wait."""

from __future__ import annotations

import errno
import os
import socket

from charrnn.errors import InputError, RunError, shorten

BACKLOG = 2048  # connections that may wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """Open a socket.

    Raises:
        InputError: the host is not an address of this machine.
        RunError: the port is in use.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Prefer IPv4 for a name with both, such as localhost, because older clients try it first.
        family, _, _, _, address = min(addresses, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason, number = "is not a host name", getattr(error, "errno", None) or 0
        if isinstance(error, OSError):  # str(error) would repeat the address.
            reason = os.strerror(number) if number > 0 else error.strerror or reason
        where = f"host={shorten(host)} port={port}: {reason}"
        if number == errno.EADDRINUSE:
            hint = f"another server may use it; choose another port: port={port + 1}"
            raise RunError(f"{where}; {hint}") from None
        hint = "give a name or address of this machine, without brackets"
        raise InputError(f"{where}; {hint}") from None


def format_url(listening: socket.socket) -> str:
    """Return the URL of the server."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
