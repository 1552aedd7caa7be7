"""What a user of Hydra expects of Hydra's own: callbacks, working folders, search paths."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import RunError


def test_the_surroundings_are_as_they_were(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    argv, stderr = sys.argv, sys.stderr

    def look(options: Any) -> None:
        seen.append((sys.argv, sys.stderr, "HYDRA_FULL_ERROR" in os.environ))

    door.action = look
    assert door("train", "seed=2").code == 0
    assert door("sample", "-m", "length=1,2").code == 0
    assert all(now[0] is argv and now[1] is stderr and not now[2] for now in seen)
    assert (sys.argv, sys.stderr) == (argv, stderr)


def test_paths_are_from_the_original_folder(door: Any, tmp_path: Path) -> None:
    standing: list[Path] = []
    door.action = lambda options: standing.append(Path.cwd())
    words = ["hydra.job.chdir=true", "hydra.run.dir=run", "data.input_txt=[a.txt,/b.txt]"]
    assert door("train", *words, "resume=auto").code == 0
    assert standing == [tmp_path / "run"]
    config = door.asked[0].config
    assert config.data.input_txt == [str(tmp_path / "a.txt"), "/b.txt"]
    assert config.resume in (None, "auto")  # a folder without a run is begun


def test_a_callback_of_hydras_own(
    door: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "charrnn_hook.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Note(Callback):\n"
        "    def on_job_end(self, config, job_return, **kwargs):\n"
        "        with open('note', 'a') as file:\n"
        "            file.write(f'{job_return.status.name} {job_return._return_value}\\n')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    hook = "+hydra.callbacks.note._target_=charrnn_hook.Note"
    assert door("train", hook).code == 0
    assert door("sample", hook).code == 0

    def fail(options: Any) -> None:
        raise RunError("no")

    door.action = fail
    assert door("train", hook) == (1, "", "charrnn train: no\n")
    assert (tmp_path / "note").read_text() == "COMPLETED None\nCOMPLETED None\nFAILED no\n"


def test_a_config_of_ones_own_that_searches_further(door: Any, tmp_path: Path) -> None:
    (tmp_path / "far" / "model").mkdir(parents=True)
    (tmp_path / "near" / "model").mkdir(parents=True)
    (tmp_path / "far" / "model" / "far.yaml").write_text(
        "defaults: [/base/model@_here_]\nkind: gru\nhidden_size: 9\n"
    )
    (tmp_path / "near" / "mine.yaml").write_text(
        f"defaults: [train, _self_]\nhydra:\n  searchpath: ['file://{tmp_path}/far']\n"
    )
    words = ["--config-dir", "near", "--config-name", "mine", "model=far"]
    assert door("train", *words).code == 0
    assert door(
        "train", "--config-dir=near", f"hydra.searchpath=[file://{tmp_path}/far]", words[-1]
    )
    assert [composed.config.model.hidden_size for composed in door.asked] == [9, 9]
