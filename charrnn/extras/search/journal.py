"""Store the journal of a study: Optuna's operations, a line of JSON for each.

Optuna's JournalFileBackend locks the file by a link, which a kill leaves behind, and cannot read an
incomplete line. The process that uses this journal holds the study's lock.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from charrnn.files import replace_file
from charrnn.say import say


class Journal(BaseJournalBackend):
    """A journal in memory, which `save` writes to a file. Optuna's tools can read the file.

    Operations that are saved together belong together: each of their lines but the last ends with a
    blank, which JSON ignores. An incomplete end of a damaged file is left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        count = len(lines)
        while count and (lines[count - 1].endswith(b" \n") or lines[count - 1][-1:] != b"\n"):
            count -= 1
        if count < len(lines):
            say(f"{path}: its last operation is incomplete and is left out")
        self._content = b"".join(lines[:count])
        self._operations: list[Any] = [json.loads(line) for line in lines[:count]]
        self._num_saved = count

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._operations[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._operations += json.loads(json.dumps(logs))

    def save(self) -> None:
        """Replace the file atomically. Raise WriteError if it cannot be written."""
        if new := [json.dumps(operation) for operation in self._operations[self._num_saved :]]:
            self._content += (" \n".join(new) + "\n").encode()
            self._num_saved = len(self._operations)
            with replace_file(self._path) as temporary:
                temporary.write_bytes(self._content)
