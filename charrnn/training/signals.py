"""Signals become a wish, read after the step.

While a step runs, a handler only notes what came: saving from inside a handler would
catch the run in the middle of an update. Before training begins there is nothing to
save, and the command simply ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

from charrnn.errors import STOP_SIGNALS, Interrupted, terminate


class Signals:
    """Handlers for the stopping signals while a run is on its way.

    Args:
        verbose: whether they say what they do; of several processes, one does.

    Attributes:
        received: SIGINT or SIGTERM, once the run was asked to stop; None so far.
    """

    def __init__(self, *, verbose: bool = True) -> None:
        self.verbose = verbose
        self.received: int | None = None
        self._first: int | None = None  # the signal that it was
        self._training = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # Python lets no other set them
            self._previous = {s: signal.getsignal(s) for s in STOP_SIGNALS}
        # what nohup is for; a shell without a terminal starts its background jobs with SIGINT
        # ignored, which nobody asked for
        if self._previous.get(signal.SIGHUP) == signal.SIG_IGN:
            del self._previous[signal.SIGHUP]
        self._install()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self._first in (signal.SIGUSR1, signal.SIGUSR2):
            handler = self._previous[self._first]
            if callable(handler) and handler is not terminate:
                # a launcher that waits for it (submitit) puts its job into the queue again
                signal.raise_signal(self._first)
        if self.received is not None and kind is None:
            # after the last step; in a sweep, another run would follow
            raise Interrupted("stopped when the run had ended", self.received)

    def hold(self) -> None:
        """Block signals while Lightning takes the handlers, until `defer`."""
        if self._previous:  # else Lightning's handlers stay
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def defer(self) -> None:
        """Unblock signals, and let each wait for the end of the step from here on."""
        if not self._previous:
            return
        self._training = True
        self._install()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _install(self) -> None:
        for signum in self._previous:
            signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._training:
            raise Interrupted("stopped before training began", STOP_SIGNALS[signal.Signals(signum)])
        if signum == signal.SIGINT and self.received == signal.SIGINT:
            # the files are whole at any moment, so nothing needs to be waited for
            self._tell("left at once")
            os._exit(128 + signum)
        if self.received is None:
            self.received, self._first = STOP_SIGNALS[signal.Signals(signum)], signum
            self._tell(f"{signal.Signals(signum).name}: saving at the end of this step")

    def _tell(self, message: str) -> None:
        # print() may be what the signal interrupted, and cannot be entered twice
        if self.verbose:
            with contextlib.suppress(OSError):
                os.write(2, f"\n{message}\n".encode())
