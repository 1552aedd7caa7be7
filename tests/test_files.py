"""Files are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import RunError
from charrnn.files import acquire_lock, remove_temporary_files, replace_file
from tests.conftest import Patch


def test_the_new_content_takes_the_place_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x"
    for content in ("first", "second"):
        with replace_file(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
    with pytest.raises(KeyError), replace_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "second"
    assert [*path.parent.iterdir()] == [path]


def test_the_content_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: Patch) -> None:
    path, synced = tmp_path / "x", []
    monkeypatch.setattr(os, "fsync", lambda d: synced.append((os.fstat(d).st_ino, path.exists())))
    with replace_file(path) as temporary:
        temporary.write_text("x")
        inode = temporary.stat().st_ino
    assert synced == [(inode, False), (tmp_path.stat().st_ino, True)]


def test_a_link_stays_a_link_and_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    with replace_file(tmp_path / "link") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"
    (tmp_path / "usual").touch()
    assert (tmp_path / "target").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_lock_has_one_holder_and_says_who(tmp_path: Path) -> None:
    for _ in range(2):
        held = acquire_lock(tmp_path / "lock", wait=False)
        assert held is not None
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())
        assert acquire_lock(tmp_path / "lock", wait=False) is None
        held.close()


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_that_is_linked_to_a_lock_is_not_overwritten(tmp_path: Path, link: Any) -> None:
    (tmp_path / "mine").write_text("a poem")
    link(tmp_path / "mine", tmp_path / ".lock")
    with pytest.raises(RunError, match=r"\.lock: "):
        acquire_lock(tmp_path / ".lock", wait=False)
    assert (tmp_path / "mine").read_text() == "a poem"


def test_the_remains_of_a_kill_are_removed(tmp_path: Path) -> None:
    context = replace_file(tmp_path / "checkpoints" / "x")
    context.__enter__().write_text("half")
    (tmp_path / "checkpoints" / ".y.part").touch()  # a name of another program
    (tmp_path / ".hidden").touch()
    remove_temporary_files(tmp_path)
    assert {p.name for p in tmp_path.rglob("*")} == {"checkpoints", ".y.part", ".hidden"}
