"""-m: many jobs of one command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import InputError, Interrupted


def test_every_combination_in_a_folder_of_its_own(door: Any, tmp_path: Path) -> None:
    folders: list[Path] = []

    def note(options: Any) -> None:
        assert options.job_id != ""
        folders.append(options.folder)

    door.action = note
    words = ["model.hidden_size=32,64", "optimizer.lr=1e-3,2e-3"]
    answer = door("train", "-m", *words)
    assert (answer.code, answer.out) == (0, "")
    configs = [asked.config for asked in door.asked]
    assert [(c.model.hidden_size, c.optimizer["lr"]) for c in configs] == [
        (32, 1e-3),
        (32, 2e-3),
        (64, 1e-3),
        (64, 2e-3),
    ]
    assert [folder.name for folder in folders] == [
        "0_model.hidden_size=32,optimizer.lr=0.001",
        "1_model.hidden_size=32,optimizer.lr=0.002",
        "2_model.hidden_size=64,optimizer.lr=0.001",
        "3_model.hidden_size=64,optimizer.lr=0.002",
    ]
    [sweep] = {folder.parent for folder in folders}
    assert sweep.parents[1] == tmp_path / "outputs" / "sweeps"
    assert (sweep / "multirun.yaml").exists()
    assert door.asked[3].overrides == ("model.hidden_size=64", "optimizer.lr=0.002")
    assert [asked.job_id for asked in door.asked] == ["0", "1", "2", "3"]


def test_texts_and_choices(door: Any, tmp_path: Path) -> None:
    assert door("sample", "-m", "start_text='O Romeo, Romeo',\"What's\"", "length=1,2").code == 0
    assert [(o.start_text, o.length) for o in door.asked] == [
        ("O Romeo, Romeo", 1),
        ("O Romeo, Romeo", 2),
        ("What's", 1),
        ("What's", 2),
    ]
    assert list(tmp_path.iterdir()) == []
    assert door("train", "model=gru,rnn", "--multirun", "seed=range(1,3)").code == 0
    configs = [asked.config for asked in door.asked[4:]]
    assert [(c.model.kind, c.seed) for c in configs] == [
        ("gru", 1),
        ("gru", 2),
        ("rnn", 1),
        ("rnn", 2),
    ]


def test_a_job_that_fails_does_not_stop_the_others(door: Any) -> None:
    def fail(options: Any) -> None:
        if options.length == 2:
            raise InputError("x.ckpt: no such file")
        if options.length == 3:
            raise ZeroDivisionError

    door.action = fail
    answer = door("sample", "-m", "length=1,2,3,4")
    assert [o.length for o in door.asked] == [1, 2, 3, 4]
    assert answer.code == 1
    assert "charrnn sample: job 1 (length=2): x.ckpt: no such file\n" in answer.err
    assert "ZeroDivisionError (in your own code, not in charrnn)\n" in answer.err
    listed = answer.err.splitlines()[-3:]
    assert listed[0] == "failed: job 1 (length=2): x.ckpt: no such file"
    assert listed[1].startswith("failed: job 2 (length=3): ")
    assert "ZeroDivisionError" in listed[1]
    assert listed[2] == "charrnn sample: 2 of 4 jobs failed"


def test_one_mistyped_value_refuses_the_whole_sweep(door: Any, tmp_path: Path) -> None:
    refused = door.refuses("train", "-m", "model.hidden_size=1,2,abc,-1", "model=gru")
    assert refused == (
        "charrnn train: job 2 (model.hidden_size=abc model=gru): "
        "model.hidden_size=abc: takes a whole number or null\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_in_which_nothing_can_run_is_refused(door: Any, tmp_path: Path) -> None:
    assert "did you mean" in door.refuses("train", "-m", "model.hiden_size=1,2")
    assert "did you mean" in door.refuses("train", "-m", "model.hidden_size=1,2", "sed=1")
    assert "must be" in door.refuses("train", "-m", "model.hidden_size=0,-1")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_ends_the_sweep(door: Any) -> None:
    for error, code in ((Interrupted("saved", 15), 143), (KeyboardInterrupt(), 130)):

        def interrupt(options: Any, error: BaseException = error) -> None:
            raise error

        door.action = interrupt
        assert door("sample", "-m", "length=1,2").code == code
        assert len(door.asked) == 1
        door.asked.clear()


def test_several_processes_are_refused(door: Any) -> None:
    for words in (
        ["trainer=ddp"],
        ["trainer.devices=[0,1]"],
        ["trainer.num_nodes=2"],
    ):
        assert "in a sweep (-m)" in door.refuses("train", "-m", "seed=1", *words)
    assert door("train", "-m", "seed=1", "trainer.devices=[1]").code == 0


def test_sweeps_written_in_an_experiment(door: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "widths.yaml").write_text(
        "# @package _global_\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      model.hidden_size: 8,16\n"
    )
    answer = door("train", "experiment=widths", "--config-dir", "mine", "hydra.sweep.dir=out")
    assert answer.code == 0, answer
    assert [asked.config.model.hidden_size for asked in door.asked] == [8, 16]
    names = ["0_model.hidden_size=8", "1_model.hidden_size=16"]
    assert [asked.folder for asked in door.asked] == [tmp_path / "out" / name for name in names]


def test_folders_have_names_that_are_safe_anywhere(door: Any, tmp_path: Path) -> None:
    texts = r"""data.input_txt='../a b.txt','Zür/x;$(rm).txt'"""
    words = ["-m", "hydra.sweep.dir=out", "model=gru", texts, f"tags=[{'a' * 300}],[b]"]
    assert door("train", *words).code == 0
    names = [asked.folder.name for asked in door.asked]
    assert names[1] == "1_data.input_txt=..-a-b.txt,tags=b"
    assert names[3] == "3_data.input_txt=Z-r-x-$-rm-.txt,tags=b".replace("$-", "")
    assert all(asked.folder.parent == tmp_path / "out" for asked in door.asked)
    assert max(map(len, names)) == len("0_") + 120


def test_the_folder_of_a_sweep_is_its_own_and_settled_once(door: Any, tmp_path: Path) -> None:
    """Its jobs' failures are noted where the sweep looks for them."""
    door.action = lambda options: (_ for _ in ()).throw(InputError("no"))
    answer = door("train", "-m", "seed=1,2")
    assert answer.code == 1
    assert "failed: job 0 (seed=1): no\nfailed: job 1 (seed=2): no\n" in answer.err
    [sweep] = (tmp_path / "outputs" / "sweeps").glob("*/*")
    assert {path.parent for path in sweep.glob("[01]_*")} == {sweep}


def test_a_job_returns_what_its_result_names_as_the_objective(
    door: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Hydra hands to a sweeper, seen by a callback of Hydra's own."""
    (tmp_path / "watching.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "seen = []\n"
        "class Watch(Callback):\n"
        "    def on_job_end(self, config, job_return, **kwargs):\n"
        "        seen.append(job_return.return_value)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = sys.modules["charrnn.commands.train"]
    monkeypatch.setattr(module, "run", lambda asked: Result(asked.config.model.hidden_size))
    words = ["model.hidden_size=8,9", "+hydra.callbacks.watch._target_=watching.Watch"]
    assert door("train", "-m", *words).code == 0
    assert sys.modules["watching"].seen == [0.8, 0.9]  # type: ignore[attr-defined]
    sys.modules.pop("watching")


class Result:
    """As a run's: it says itself what of it a sweep minimises."""

    def __init__(self, size: int) -> None:
        self.objective = size / 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("init_from", ["init_from=outputs/latest", "seed=1,2"]),
        ("init_from", ["init_from='other','outputs/latest'", "seed=1,2", "sweep=random"]),
    ],
)
def test_a_job_begins_with_the_model_that_was_the_latest_before_the_sweep(
    name: str, words: list[str], door: Any, tmp_path: Path
) -> None:
    if "sweep=random" in words:
        pytest.importorskip("charrnn.extras.search")
        words = [*words, "hydra.sweeper.n_trials=6"]
    latest = tmp_path / "outputs" / "latest"
    latest.parent.mkdir()
    latest.symlink_to(tmp_path / "first")

    def begin(asked: Any) -> float:
        latest.unlink()
        latest.symlink_to(asked.folder)
        return 1.0  # the loss, which a study needs

    door.action = begin
    assert door("train", "-m", *words).code == 0
    begun = [getattr(asked.config, name) for asked in door.asked]
    paths = {path for one in begun for path in ([one] if isinstance(one, str) else one)}
    known = {str(tmp_path / "first"), str(tmp_path / "other")}
    assert str(tmp_path / "first") in paths <= known
    # and so it is recorded
    [record] = (tmp_path / "outputs" / "sweeps").glob("*/*/sweep.json")
    models = [job["config"][name] for job in json.loads(record.read_text())["jobs"]]
    assert {path for one in models for path in ([one] if isinstance(one, str) else one)} <= known
