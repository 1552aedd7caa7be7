"""The address at which other devices reach the server, also as a QR code for their cameras."""

from __future__ import annotations

import contextlib
import socket
import sys


def find_network_address() -> str:
    """Return the IPv4 address of this machine in its network, or its name if it has none.

    A telephone can rarely resolve the name. No packet is sent: the system only chooses the network
    interface for an address that nobody has (RFC 5737).
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()


def show_code(address: str) -> None:
    """Print the QR code of an address, if standard error is a terminal and segno is installed."""
    with contextlib.suppress(ImportError, OSError, UnicodeError):
        import segno

        if sys.stderr.isatty():
            segno.make(address, micro=False).terminal(sys.stderr, compact=True)
