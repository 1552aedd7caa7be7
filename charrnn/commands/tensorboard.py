"""`charrnn tensorboard`: TensorBoard on a folder of runs."""

from __future__ import annotations

from charrnn.errors import InputError
from charrnn.options.commands import TensorboardOptions

REFRESH = 5.0  # seconds, as often as TensorBoard looks for new points
# of each run; TensorBoard shows 10 pictures and 10 texts otherwise
SAMPLES = {"images": 100, "text": 100}


def run(options: TensorboardOptions) -> None:
    """Show the runs that are there and those that come, until Ctrl-C or SIGTERM."""
    import tempfile
    import time
    from pathlib import Path

    from tensorboard import program

    from charrnn.runs.board import Board
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
            address = shown.launch()
        except program.TensorBoardServerException as error:
            raise InputError(f"host={options.host} port={options.port}: {error.msg}") from None
        say(f"TensorBoard on {options.folder}: {address}")
        while True:
            time.sleep(REFRESH)
            board.refresh()
