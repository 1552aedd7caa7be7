"""Somebody else's run folder: what is written in it neither runs, nor is sent, nor leads away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.attacks.stranger import CANARY, SECRET, Listener, Refused, content_of, tampered

LONGER = "trainer.max_steps=6"
LOOKED_UP = "\\\\${oc.env:SECRET}"  # two backslashes: an escape of an escape


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        *parents, last = keys
        for parent in parents:
            config = config.setdefault(parent, {})
        config[last] = value

    return change


CONFIGS = {
    "a callback": (("callbacks", "x"), CANARY, "+callbacks.x._target_=os.mkdir"),
    "a logger": (("logger", "x"), CANARY, "+logger.x._target_=os.mkdir"),
    "another optimizer": (("optimizer", "_target_"), "os.mkdir", "optimizer._target_=os.mkdir"),
    "another kind of data": (("data", "_target_"), "os.mkdir", "data._target_=os.mkdir"),
    "no dotted name": (("callbacks", "x"), {"_target_": "a b; rm"}, "names nothing that can be"),
    "a node in a value": (("optimizer", "lr"), CANARY, "optimizer.lr"),
    "a node in a list": (("optimizer", "betas"), [CANARY, 0.9], "optimizer.betas is not taken"),
    "a node in a mapping": (("tags",), {"a": CANARY}, "tags is not taken"),
    "arguments by their place": (("optimizer", "_args_"), ["x"], "optimizer._args_"),
    "a Trainer's profiler": (("trainer", "profiler"), "simple", "+trainer.profiler=simple"),
    "a Trainer's plugins": (("trainer", "plugins"), CANARY, "trainer.plugins"),
    "a Trainer's folder": (("trainer", "default_root_dir"), "canary", "trainer.default_root_dir"),
    "another group": (("hydra",), {"job": {"env_set": {"A": "b"}}}, "hydra is no option"),
    "W&B": (
        ("logger", "wandb"),
        {"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"base_url": "URL"}},
        "+logger.wandb._target_=lightning.pytorch.loggers.WandbLogger",
    ),
    "an address": (("data", "url"), "URL/x.txt", "data.url="),
    "a secret in an address": (("data", "url"), f"URL/?q={LOOKED_UP}", "data.url="),
    "a secret for a number": (("optimizer", "lr"), LOOKED_UP, "optimizer.lr="),
    "another text": (("data", "input_txt"), "/dev/zero", "/dev/zero"),
}


@pytest.mark.parametrize("attack", CONFIGS)
def test_a_config(attack: str, gift: Path, refused: Refused, listener: Listener) -> None:
    keys, value, line = CONFIGS[attack]
    addressed = yaml.safe_load(yaml.safe_dump(value).replace("URL", listener.address))
    tampered(gift, put(*keys, value=addressed))
    if attack in ("an address", "a secret in an address"):
        tampered(gift, put("data", "input_txt", value=None))
        tampered(gift, put("data", "sha256", value="ab" * 32))
    assert line in refused("train", "resume=gift", LONGER)


@pytest.mark.parametrize("where", ["/canary", "../../canary", "~/canary"])
def test_a_folder_of_tensorboard(where: str, gift: Path, refused: Refused) -> None:
    for name in ("name", "version"):
        tampered(gift, put("logger", "tensorboard", name, value=where))
    assert "logger.tensorboard.name=" in refused("train", "resume=gift", LONGER)


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        ("callbacks", "../../gift/evil"),
        ("callbacks", "/gift/evil"),
        ("callbacks", ".hidden"),
        ("callbacks", ["default", "../evil"]),
        ("experiment", "../../gift/evil"),
        ("hydra/launcher", "submitit_slurm"),
        ("hydra", {"searchpath": ["file://gift"]}),
    ],
)
def test_a_choice(group: str, choice: Any, gift: Path, refused: Refused) -> None:
    (gift / "evil.yaml").write_text(yaml.safe_dump({"x": CANARY}))
    tampered(gift, put(group, value=choice), "choices")
    assert "is no name" in refused("train", "resume=gift", LONGER)


def test_a_file_of_the_run_itself(gift: Path, refused: Refused) -> None:
    """--config-dir is where the run lies, and a file in the run names what it builds."""
    (gift / "callbacks").mkdir()
    (gift / "callbacks" / "evil.yaml").write_text(yaml.safe_dump({"x": CANARY}))
    tampered(gift, put("callbacks", "x", value=CANARY))
    tampered(gift, put("callbacks", value="evil"), "choices")
    line = refused("train", "--config-dir", ".", "resume=gift", LONGER)
    assert "--config-dir FOLDER (that has callbacks/evil.yaml)" in line


def test_what_is_asked_for_is_all_that_a_network_logger_takes(
    gift: Path, refused: Refused, listener: Listener
) -> None:
    pytest.importorskip("wandb")
    node = {
        "_target_": "lightning.pytorch.loggers.WandbLogger",
        "project": "mine",
        "name": None,
        "offline": False,
        "settings": {"base_url": listener.address, "api_key": "0" * 40},
    }
    tampered(gift, put("logger", value={"wandb": node}))
    tampered(gift, put("logger", value="wandb"), "choices")
    line = refused("train", "resume=gift", LONGER)
    assert "add logger=wandb" in line
    line = refused("train", "resume=gift", LONGER, "logger=wandb")
    assert "+logger.wandb.settings=" in line


def test_a_text_is_a_text(gift: Path, workplace: Path, listener: Listener) -> None:
    """${...} in a record stands for itself, however many backslashes are before it."""
    texts = ["${oc.env:SECRET}", "\\${oc.env:SECRET}", LOOKED_UP]
    tampered(gift, put("tags", value=texts))
    assert main(["train", "resume=gift", LONGER]) == 0
    recorded = yaml.safe_load((gift / ".hydra" / "config.yaml").read_text())
    assert recorded["tags"] == texts
    assert not any(SECRET.encode() in c for c in content_of(gift).values() if type(c) is bytes)


LINKED = (".lock", "metrics.csv", "report.html", ".hydra/config.yaml", "samples", "tensorboard")


def test_links_and_pipes(gift: Path, workplace: Path, refused: Refused) -> None:
    """Nothing is written through them, and none is waited for."""
    (gift / "samples").mkdir(exist_ok=True)
    for name in LINKED:
        path, kept = gift / name, workplace / "kept"
        if path.exists():
            path.rename(kept)
        (workplace / "outside").mkdir(exist_ok=True)
        if kept.is_dir() or name.startswith(".hydra"):
            path.symlink_to(kept)
        else:
            path.symlink_to(workplace / "outside" / "file")
        assert "is a link, and is not written through" in refused("train", "resume=gift", LONGER)
        path.unlink()
        if kept.exists():
            kept.rename(path)
    for name in ("metrics.csv", ".hydra/overrides.yaml"):
        path, kept = gift / name, workplace / "kept"
        path.rename(kept)
        os.mkfifo(path)
        assert "is no plain file" in refused("train", "resume=gift", LONGER)
        # those who only read do not wait for it either
        assert main(["runs", str(workplace)]) == 0
        path.unlink()
        kept.rename(path)
    assert list((workplace / "outside").iterdir()) == []
    # what the user links is the user's
    gift.rename(workplace / "real")
    gift.symlink_to(workplace / "real")
    assert main(["train", "resume=gift", LONGER]) == 0


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("name", ["config", "choices", "overrides", "hydra"])
def test_a_billion_laughs(
    name: str, gift: Path, refused: Refused, capfd: pytest.CaptureFixture[str]
) -> None:
    path = gift / ".hydra" / f"{name}.yaml"
    path.write_text(path.read_text() + LAUGHS if name != "overrides" else LAUGHS)
    if name in ("config", "choices"):
        assert "it holds an alias" in refused("train", "resume=gift", LONGER)
    assert main(["runs", "."]) == (0 if name != "config" else 2)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["itself", "laughs"])
def test_a_checkpoint_that_swells(kind: str, gift: Path, refused: Refused) -> None:
    path = gift / "checkpoints" / "last.ckpt"
    content = checkpoint.read(path)
    nested: Any = ["x"]
    for _ in range(29):
        nested = [nested] * 9
    content[ENTRY]["config"]["tags"] = content[ENTRY]["config"] if kind == "itself" else nested
    checkpoint.write(path, content)
    line = refused("train", f"resume={path}", LONGER, "hydra.run.dir=new")
    assert f"{path}: " in line


def test_a_checkpoint(gift: Path, refused: Refused) -> None:
    path = gift / "checkpoints" / "last.ckpt"
    content = checkpoint.read(path)
    content[ENTRY]["config"]["callbacks"]["x"] = CANARY
    checkpoint.write(path, content)
    line = refused("train", f"resume={path}", LONGER, "hydra.run.dir=new")
    assert "add +callbacks.x._target_=os.mkdir" in line


def test_odd_numbers(gift: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tampered(gift, put("data", "batch_size", value=10**400))
    assert main(["runs", "."]) == 0
    tampered(gift, put("data", "batch_size", value=4))
    metrics = gift / "metrics.csv"
    lines = metrics.read_text().splitlines()
    rows = [line.rpartition(",")[0] + ",1e-320" for line in lines[1:]]
    metrics.write_text("\n".join([lines[0], *rows, ""]))
    assert main(["runs", "."]) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_a_recorded_text_is_prepared_in_the_cache(gift: Path, workplace: Path) -> None:
    secret = workplace / "elsewhere"
    secret.mkdir()
    shutil.copy(gift.parent / "corpus.txt", secret)
    tampered(gift, put("data", "input_txt", value=str(secret / "corpus.txt")))
    assert main(["train", "resume=gift", LONGER]) == 0
    assert [path.name for path in secret.iterdir()] == ["corpus.txt"]
    assert list((workplace / "cache" / "prepared").glob("*.h5"))
