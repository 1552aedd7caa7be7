"""Somebody else's sweep or study: its jobs are data, and what is drawn is held to its space."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from tests.attacks.stranger import CANARY, TINY, Listener, Refused, tampered_sweep
from tests.faults.runs import write_corpus

HAS_SEARCH = all(importlib.util.find_spec(name) for name in ("charrnn.extras.search", "optuna"))
STUDY = ("sweep=random", "hydra.sweeper.n_trials=1", "optimizer.lr=interval(1e-3,1e-2)")


@pytest.fixture(scope="session")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep of two jobs, of which the second is missing, and a study."""
    place = tmp_path_factory.mktemp("stranger")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_corpus(place)
        words = ["train", "-m", *TINY, "logger=csv", "trainer.max_steps=1"]
        assert main([*words, "seed=1,2", "hydra.sweep.dir=gift"]) == 0
        shutil.rmtree(place / "gift" / "1_seed=2")
        if HAS_SEARCH:
            assert main([*words, *STUDY, "hydra.sweep.dir=study"]) == 0
    return place


@pytest.fixture
def gift(sweeps: Path, workplace: Path) -> Path:
    return Path(shutil.copytree(sweeps / "gift", workplace / "gift"))


@pytest.fixture
def study(sweeps: Path, workplace: Path) -> Path:
    if not HAS_SEARCH:
        pytest.skip("needs the extra search and optuna")
    return Path(shutil.copytree(sweeps / "study", workplace / "study"))


def in_job(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        node = content["jobs"][1]
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value

    return change


JOBS = {
    "a callback": (("config", "callbacks", "x"), CANARY, "add +callbacks.x._target_=os.mkdir"),
    "an address": (("config", "data", "url"), "URL", "data.url="),
    "a search path": (("choices", "hydra"), {"searchpath": ["file://gift/c"]}, "is no name"),
    "a launcher": (("choices", "hydra/launcher"), "submitit_slurm", "is no name"),
    "an experiment": (("choices", "experiment"), "../../gift/c/evil", "is no name"),
    "a folder above": (("folder",), "../../outside", "is no folder of a job"),
    "the folder above": (("folder",), "..", "is no folder of a job"),
    "a folder elsewhere": (("folder",), "/tmp/outside", "is no folder of a job"),
    "the environment": (("config", "hydra"), {"job": {"env_copy": ["SECRET"]}}, "hydra is no"),
}


@pytest.mark.parametrize("attack", JOBS)
def test_a_job(attack: str, gift: Path, refused: Refused, listener: Listener) -> None:
    keys, value, line = JOBS[attack]
    value = f"{listener.address}/\\\\${{oc.env:SECRET}}" if value == "URL" else value
    (gift / "c").mkdir()
    (gift / "c" / "evil.yaml").write_text(yaml.safe_dump({"callbacks": {"x": CANARY}}))
    tampered_sweep(gift, in_job(*keys, value=value))
    if attack == "an address":
        tampered_sweep(gift, in_job("config", "data", "input_txt", value=None))
        tampered_sweep(gift, in_job("config", "data", "sha256", value="ab" * 32))
    assert line in refused("train", "resume=gift")


def test_what_hydra_recorded_is_not_read(gift: Path, refused: Refused) -> None:
    (gift / "sweep.json").unlink()
    evil = ["+callbacks.x._target_=os.mkdir", "+callbacks.x.path=canary"]
    hydra = {"overrides": {"task": evil, "hydra": ["hydra.job.env_set={A: b}"]}}
    (gift / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    line = refused("train", "resume=gift")
    assert "give its command again, with hydra.sweep.dir=gift resume=auto" in line


@pytest.mark.parametrize("content", ["[", "{}", "[1]", '{"jobs": 1}', "[" * 100_000])
def test_a_record_that_is_none(content: str, gift: Path, refused: Refused) -> None:
    (gift / "sweep.json").write_text(content)
    assert "is no record of a sweep" in refused("train", "resume=gift")


@pytest.mark.parametrize("name", ["leaderboard.csv", "1_seed=2", "experiment", "study.db"])
def test_a_link(name: str, gift: Path, workplace: Path, refused: Refused) -> None:
    (workplace / "outside").mkdir()
    if (gift / name).exists():
        (gift / name).unlink()
    (gift / name).symlink_to(workplace / "outside")
    assert "is a link, and is not written through" in refused("train", "resume=gift")


def in_space(name: str, drawn: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        if (choices := drawn.get("choices")) is not None:
            found = {"name": "CategoricalDistribution", "attributes": {"choices": choices}}
        else:
            numbers = {"low": 0, "high": 1, "step": None, "log": False, **drawn}
            found = {"name": "FloatDistribution", "attributes": numbers}
        content["space"][name] = {**found, "values": drawn.get("values", [])}

    return change


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("+callbacks.x._target_", {"choices": ["os.mkdir"], "values": ["os.mkdir"]}),
        ("hydra.job.env_copy", {"choices": ["SECRET"], "values": ["SECRET"]}),
        ("hydra/launcher", {"choices": ["submitit_slurm"], "values": ["submitit_slurm"]}),
        ("data.url", {"choices": ["http://x"], "values": ["http://x"]}),
        ("init_from", {"choices": ["/etc/passwd"], "values": ["/etc/passwd"]}),
        ("+callbacks.x", {"choices": ["a"], "values": [CANARY]}),
        ("seed", {"low": 0, "high": float("nan")}),
        ("seed", {"low": 2}),
        ("seed", {"low": "os.mkdir"}),
        ("seed", {"choices": ["1", "2"], "values": [1]}),
        ("a b", {}),
    ],
)
def test_a_space(name: str, drawn: dict[str, Any], study: Path, refused: Refused) -> None:
    tampered_sweep(study, in_space(name, drawn))
    assert "study/sweep.json" in refused("train", "resume=study", "hydra.sweeper.n_trials=2")


def test_a_sampler(study: Path, refused: Refused) -> None:
    def change(content: dict[str, Any]) -> None:
        content["settings"]["sampler"] = {"_target_": "os.mkdir", "path": "canary"}

    tampered_sweep(study, change)
    line = refused("train", "resume=study", "hydra.sweeper.n_trials=2")
    assert "add hydra.sweeper.sampler._target_=os.mkdir" in line


def test_a_trial(
    study: Path, workplace: Path, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that is taken over has parameters that the search does not."""
    import optuna

    from charrnn.extras.search.study import opened

    choice = optuna.distributions.CategoricalDistribution
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params={"+callbacks.x._target_": "os.mkdir", "+callbacks.x.path": "canary"},
        distributions={
            "+callbacks.x._target_": choice(["os.mkdir"]),
            "+callbacks.x.path": choice(["canary"]),
        },
    )
    opened(study).add_trial(trial)
    again = ["-m", *TINY, *STUDY, "hydra.sweep.dir=study", "resume=auto"]
    for words in (["resume=study"], again):
        assert main(["train", *words]) != 0
        err = capfd.readouterr().err
        assert "trial 1 has values that this study does not search" in err
        assert "Traceback" not in err
    assert not (workplace / "canary").exists()


def test_the_best_of_a_study_is_told_without_what_it_would_build(
    study: Path, workplace: Path, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    [run] = study.glob("0_*")
    overrides = run / ".hydra" / "overrides.yaml"
    evil = ["+callbacks.x._target_=os.mkdir", "experiment=../../study/evil", "tags=[${oc.env:A}]"]
    overrides.write_text(json.dumps([*yaml.safe_load(overrides.read_text()), *evil]))
    assert main(["train", "resume=study"]) == 0
    err = capfd.readouterr().err
    assert "train with the best: charrnn train" in err
    written = (study / "experiment" / "best.yaml").read_text()
    for text in (err, written):
        assert not any(part in text for part in ("os.mkdir", "evil", "oc.env"))
