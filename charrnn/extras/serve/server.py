"""Run the server on a listening socket."""

from __future__ import annotations

import gc
import socket
import sys

import uvicorn
from fastapi import FastAPI

from charrnn.extras.serve.limits import HEAD_BYTES, Connection
from charrnn.extras.serve.listening import BACKLOG


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
        backlog=BACKLOG,
        timeout_graceful_shutdown=drain_seconds,
        ws="none",
    )
    # The scheduler's thread needs the GIL several times per chunk, so a short switch interval
    # reduces its waits. A request leaves little garbage in cycles, so rare collections are enough.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(20_000)
    uvicorn.Server(config).run(sockets=[listening])
