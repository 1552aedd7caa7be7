"""What TensorBoard is given to show: each run once, under a name that says what differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from charrnn.commands.tensorboard import Board, event_folders


def run_folder(where: Path, *overrides: str) -> Path:
    (where / "tensorboard").mkdir(parents=True)
    (where / "tensorboard" / "events.out.tfevents.1").touch()
    (where / ".hydra").mkdir()
    (where / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    return where


def shown(board: Board) -> dict[str, Path]:
    board.refresh()
    return {link.name: link.resolve().parent for link in board.view.iterdir()}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "view").mkdir()
    return tmp_path / "outputs"


@pytest.fixture
def board(runs: Path) -> Board:
    return Board(runs, runs.parent / "view")


def test_each_run_once(runs: Path, board: Board) -> None:
    run = run_folder(runs / "train/2026-01-01/10-00-00")
    (runs / "latest").symlink_to("train/2026-01-01/10-00-00")
    assert event_folders(runs) == [run / "tensorboard"]
    assert shown(board) == {"train 2026-01-01 10-00-00": run}


def test_a_name_says_what_differs_and_nothing_else(runs: Path, board: Board) -> None:
    always = ("data.input_txt='/texts/my.txt'", "trainer.max_steps=10")
    a = run_folder(runs / "0", *always, "model.hidden_size=8", "+trainer.x=1")
    b = run_folder(runs / "1", *always, "model.hidden_size=16")
    c = run_folder(runs / "2", "data.input_txt='/texts/other.txt'", "trainer.max_steps=10")
    assert shown(board) == {
        "input_txt=my.txt hidden_size=8 x=1": a,
        "input_txt=my.txt hidden_size=16": b,
        "input_txt=other.txt": c,
    }


def test_options_of_the_same_name_are_told_apart(runs: Path, board: Board) -> None:
    run_folder(runs / "0", "model.dropout=0.1", "other.dropout=0.1")
    run_folder(runs / "1", "model.dropout=0.2", "other.dropout=0.1")
    assert set(shown(board)) == {"model.dropout=0.1", "model.dropout=0.2"}


def test_where_nothing_differs_the_folder_is_told(runs: Path, board: Board) -> None:
    run_folder(runs / "a/0", "model=gru")
    run_folder(runs / "b/0", "model=gru")
    run_folder(runs / "c/0")
    assert set(shown(board)) == {"model=gru (a 0)", "model=gru (b 0)", "c 0"}


def test_a_name_that_is_given_stays(runs: Path, board: Board) -> None:
    run_folder(runs / "0", "seed=1")
    run_folder(runs / "1", "seed=2")
    before = shown(board)
    assert set(before) == {"seed=1", "seed=2"}
    third = run_folder(runs / "2", "seed=2", "model=gru")
    fourth = run_folder(runs / "3", "seed=2")
    after = shown(board)
    assert after == {**before, "seed=2 model=gru": third, "seed=2 (3)": fourth}


def test_a_run_that_is_removed_goes(runs: Path, board: Board) -> None:
    run_folder(runs / "0", "seed=1")
    gone = run_folder(runs / "1", "seed=2")
    assert len(shown(board)) == 2
    gone.rename(runs.parent / "elsewhere")
    assert set(shown(board)) == {"seed=1"}


def test_a_name_can_be_a_folders(runs: Path, board: Board) -> None:
    run_folder(runs / "0", "tags=[a/b,c]", "data.url='x\ny'")
    run_folder(runs / "1", "tags=[" + "ü" * 300 + "]")
    names = set(shown(board))
    assert "tags=b,c] url=x y" in names
    assert all(len(name.encode()) < 255 for name in names)


@pytest.mark.parametrize("content", ["", "a: 1", "- {", "\0", "- [1, 2]"])
def test_overrides_that_cannot_be_read(runs: Path, board: Board, content: str) -> None:
    run = run_folder(runs / "0")
    (run / ".hydra" / "overrides.yaml").write_text(content)
    run_folder(runs / "1", "seed=2")
    assert list(shown(board).values()).count(run) == 1


def test_event_files_without_a_run(runs: Path, board: Board) -> None:
    """As `charrnn convert` writes them, or a Trainer of one's own."""
    folder = runs / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1").touch()
    board.refresh()
    assert {link.name: link.resolve() for link in board.view.iterdir()} == {
        "lightning_logs version_0": folder
    }
