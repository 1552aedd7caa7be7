"""Write the journal of a study: Optuna's operations, a line of JSON for each.

Optuna's JournalFileBackend would lock the journal by a link, which a kill leaves behind, and keep
an incomplete line. The process that uses this journal holds the study's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from charrnn.files import convert_write_errors, open_plain_file
from charrnn.say import say


class Journal(BaseJournalBackend):
    """A journal whose entries are complete after a kill or on a full disk.

    An entry is one operation, or the operations of a `write_together` block. Each line of an entry
    but the last ends with a blank, which JSON ignores. So an incomplete entry at the end of the
    file is recognized, and it is removed when the file is opened.

    Raises:
        InputError: the file is a link, a pipe or a device.
        ValueError: a line is not JSON.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(open_plain_file(path), "r+b") as file:
            lines, size = file.readlines(), 0
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n") and not line.endswith(b" \n"):
                    size = number
            if size < len(lines):
                say(f"{path}: its last entry was incomplete (a kill, a full disk) and is removed")
                file.truncate(sum(map(len, lines[:size])))
        self._operations: list[dict[str, Any]] = [json.loads(line) for line in lines[:size]]
        self._unwritten: list[str] = []
        self._is_entry_open = False

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._operations[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations.

        Raises:
            RunError: they cannot be written; the file is as before.
        """
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        self._operations += map(json.loads, lines)
        self._unwritten += lines
        if not self._is_entry_open:
            self._write()

    @contextlib.contextmanager
    def write_together(self) -> Iterator[None]:
        """Write the operations of the block as one entry, at its end."""
        self._is_entry_open = True
        yield
        self._is_entry_open = False
        if self._unwritten:
            self._write()

    def _write(self) -> None:
        rest = memoryview((" \n".join(self._unwritten) + "\n").encode())
        with (
            convert_write_errors(self._path),
            open(open_plain_file(self._path), "r+b", buffering=0) as file,
        ):
            size = file.seek(0, os.SEEK_END)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(size)
                raise
        self._unwritten = []
