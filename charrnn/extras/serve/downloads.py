"""The files of a model that a client can take home: a page, the model file, the run's report."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

from charrnn.runs.folder import METRICS
from charrnn.runs.model_lookup import read_model
from charrnn.runs.result import RESULT

FileName = Literal["page.html", "model.safetensors", "report.html"]
PAGE, MODEL, REPORT = get_args(FileName)
LICENCE = "Made with charrnn"  # the line at the bottom of a page
# The page and the report are other extras, which may be deleted.
_EXTRAS = Path(__file__).parents[1]


def _lower_priority() -> None:
    with suppress(OSError):  # Only Linux has priorities of threads.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


MAKER = ThreadPoolExecutor(1, "maker", _lower_priority)  # the thread that makes files


def list_files(file: Path) -> list[FileName]:
    """Return the names of the files of a model, which may be deleted."""
    if not file.is_file():
        return []
    is_run = all((_get_run(file) / name).is_file() for name in (RESULT, METRICS))
    can_make = {
        PAGE: (_EXTRAS / "page").is_dir(),
        MODEL: file.suffix == ".safetensors",
        REPORT: is_run and (_EXTRAS / "report").is_dir(),
    }
    return [name for name in get_args(FileName) if can_make[name]]


def make_file(name: FileName, file: Path, title: str) -> bytes:
    """Return the page with the model in a file, or the report of its run."""
    if name == REPORT:
        from charrnn.extras.report.report_run_end import make_report  # noqa: PLC0415

        return make_report(_get_run(file)).encode("utf-8", "replace")
    from charrnn.extras.page.content import make_content  # noqa: PLC0415
    from charrnn.extras.page.writing_page import make_writing_page  # noqa: PLC0415

    model = read_model(file)
    page, _ = make_content(make_writing_page, model, title, LICENCE)
    return page.encode("utf-8", "replace")


def make_headers(name: FileName, title: str) -> dict[str, str]:
    """Return the headers of a file that a browser saves under the title of the model."""
    stem, _, suffix = name.partition(".")
    saved = f"{title} {stem}.{suffix}" if name == REPORT else f"{title}.{suffix}"
    return {
        # RFC 5987, for any name
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(saved, '', errors='replace')}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _get_run(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent
