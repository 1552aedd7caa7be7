"""`charrnn tensorboard`: TensorBoard on a folder of runs, each named by what differs.

TensorBoard names a run after its folder and follows links, so below outputs/ it would show the
newest run twice, and tell all of them by their date alone. It is given a folder of links
instead, one a run.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from charrnn.errors import InputError
from charrnn.options.commands import TensorboardOptions
from charrnn.runs import run_history
from charrnn.runs.folder import RECORDED

# the page that opens: without a fragment it is one half full of settings, and below them the losses
LOSSES = "#scalars&tagFilter=loss"
REFRESH = 5.0  # seconds, as often as TensorBoard looks for new points
# of each run; TensorBoard shows 10 pictures and 10 texts otherwise
SAMPLES = {"images": 100, "text": 100}


def run(options: TensorboardOptions) -> None:
    """Show the runs that are there and those that come, until Ctrl-C or SIGTERM."""
    import contextlib
    import io
    import tempfile
    import time

    from tensorboard import program

    from charrnn.say import say

    folder = Path(options.folder)
    if not folder.is_dir():
        raise InputError(f"folder={options.folder}: no such folder; runs go to outputs/")
    with tempfile.TemporaryDirectory(prefix="charrnn-tensorboard-") as view:
        board = Board(folder, Path(view))
        board.refresh()
        shown = program.TensorBoard()
        try:
            shown.configure(
                logdir=view, host=options.host, port=options.port, samples_per_plugin=SAMPLES
            )
            with contextlib.redirect_stderr(io.StringIO()):  # a note on an option that is not here
                address = shown.launch()
        except program.TensorBoardServerException as error:
            raise InputError(f"host={options.host} port={options.port}: {error.msg}") from None
        say(f"TensorBoard on {options.folder}: {address}{LOSSES}")
        while True:
            time.sleep(REFRESH)
            board.refresh()


# TensorBoard reads every file with this in its name
EVENTS = "tfevents"
LONGEST = 200  # bytes of a link's name


class Board:
    """A folder of links to the event files of every run below another folder.

    A name stays once it is given, also when a later run differs in more: TensorBoard would take
    a run with another name for another run.

    Args:
        folder: where runs are looked for, at any depth; links in it are not followed.
        view: where the links go.
    """

    def __init__(self, folder: Path, view: Path) -> None:
        self.folder = folder
        self.view = view
        self._names: dict[Path, str] = {}

    def refresh(self) -> None:
        """Add links to the runs that are new, and remove those to runs that are gone."""
        found = event_folders(self.folder)
        for gone in self._names.keys() - set(found):
            (self.view / self._names.pop(gone)).unlink(missing_ok=True)
        if new := [path for path in found if path not in self._names]:
            names = names_of(found, self.folder)
            for path in new:
                name = _unused(names[path], set(self._names.values()))
                (self.view / name).symlink_to(path.resolve())
                self._names[path] = name


def event_folders(folder: Path) -> list[Path]:
    """The folders below `folder`, itself included, that hold event files of TensorBoard."""
    walk = os.walk(folder)
    return sorted(Path(path) for path, _, files in walk if any(EVENTS in name for name in files))


def names_of(paths: list[Path], folder: Path) -> dict[Path, str]:
    """For each folder of event files the overrides in which its run differs from the others.

    Where that says nothing, or no more than another's, the name says where the run lies.
    """
    overrides = {path: run_history.asked(path.parent) for path in paths}
    keys = dict.fromkeys(key for given in overrides.values() for key in given)
    differing = [key for key in keys if len({g.get(key) for g in overrides.values()}) > 1]
    last = Counter(_last(key) for key in keys)
    shown = {key: _last(key) if last[_last(key)] == 1 else key for key in differing}
    what = {
        path: " ".join(f"{shown[key]}={_short(given[key])}" for key in differing if key in given)
        for path, given in overrides.items()
    }
    count = Counter(what.values())
    return {path: _name(what[path], count[what[path]], _where(path, folder)) for path in paths}


def _name(what: str, count: int, where: str) -> str:
    name = what if what and count == 1 else f"{what} ({where})" if what else where
    # a folder's name has no slash, and so many bytes at most
    plain = " ".join(name.replace("/", " ").split())
    return plain.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")


def _unused(name: str, used: set[str]) -> str:
    numbered = (f"{name} ({number})" for number in range(2, len(used) + 3))
    return next(n for n in (name, *numbered) if n not in used)


def _where(path: Path, folder: Path) -> str:
    run = path.parent if (path.parent / RECORDED.parent).is_dir() else path
    return str(run.relative_to(folder)) if run != folder else run.resolve().name


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _short(value: str) -> str:
    """A value without quotes around it; of a path the last part."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return (value[1:-1] if quoted else value).rstrip("/").rpartition("/")[2]
