"""Handle the signals that stop a training.

A handler only records the signal, and the run stops after the step: a checkpoint that a handler
writes would be inconsistent.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any, TypeVar

from charrnn.errors import STOP_SIGNALS, Interrupted, raise_received, terminate

CHECK_INTERVAL = 0.5  # seconds between two looks for a signal
T = TypeVar("T")


def run_in_thread(work: Callable[[], T], check_stop: Callable[[], None]) -> T:
    """Return the result of work in a thread, and call `check_stop` every half second meanwhile.

    If `check_stop` raises, the thread is left to itself, and does not outlive the process.
    """
    results: queue.SimpleQueue[Future[T]] = queue.SimpleQueue()

    def run() -> None:
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
        results.put(future)

    threading.Thread(target=run, daemon=True).start()
    while True:
        with contextlib.suppress(queue.Empty):
            return results.get(timeout=CHECK_INTERVAL).result()
        check_stop()


class Signals:
    """Handlers of the stop signals (`STOP_SIGNALS`) while Lightning trains.

    Args:
        verbose: print a message for a signal; only one of several processes does.

    Attributes:
        received: SIGINT or SIGTERM after a signal; None before.
    """

    def __init__(self, *, verbose: bool = True) -> None:
        self.verbose = verbose
        self.received: int | None = None
        self._first_signal: int | None = None
        self._previous: dict[int, Any] = {}

    def block(self) -> None:
        """Keep signals blocked while Lightning sets its handlers, until `start`."""
        # Python allows only the main thread to set handlers; another thread keeps Lightning's.
        if threading.current_thread() is threading.main_thread():
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def start(self) -> None:
        """Set the handlers, and accept signals again. Now a signal waits for the end of a step."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._previous = {s: signal.getsignal(s) for s in STOP_SIGNALS}
        # nohup ignores SIGHUP on purpose. An ignored SIGINT is handled, because a shell without a
        # terminal starts all background jobs with it.
        if self._previous[signal.SIGHUP] == signal.SIG_IGN:
            del self._previous[signal.SIGHUP]
        for signum in self._previous:
            signal.signal(signum, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        raise_received()

    def stop(self) -> None:
        """Restore the previous handlers, and pass SIGUSR1 or SIGUSR2 on to a launcher's."""
        previous, self._previous = self._previous, {}
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        if threading.current_thread() is threading.main_thread():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self._first_signal in (signal.SIGUSR1, signal.SIGUSR2):
            handler = previous.get(self._first_signal)
            if callable(handler) and handler is not terminate:
                # A launcher such as submitit then puts its job into the queue again.
                signal.raise_signal(self._first_signal)

    def raise_received(self) -> None:
        """Raise Interrupted after a signal, so that the next run of a sweep does not start."""
        if self.received is not None:
            raise Interrupted("stopped when the run had ended", self.received)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        # stop_signal is SIGINT or SIGTERM, and determines the exit code.
        name, stop_signal = signal.Signals(signum).name, STOP_SIGNALS[signal.Signals(signum)]
        if signum == signal.SIGINT and self.received is not None:
            # All files are complete at any time, so the process can end now.
            self._write_message("ended at once")
            os._exit(128 + signum)
        if self.received is None:
            self.received, self._first_signal = stop_signal, signum
            self._write_message(f"{name}: saving the run")

    def _write_message(self, message: str) -> None:
        # print() is not reentrant, and the signal may have interrupted it.
        if self.verbose:
            with contextlib.suppress(OSError):
                os.write(2, f"\n{message}\n".encode())
