"""Checkpoints that are whole and hold something odd: a line that names the file, or a run.

They are sealed with the checksum that belongs to them, as somebody could make them by hand.
"""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import charrnn
from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.models import checkpoint
from charrnn.models.checkpoint import ENTRY
from tests.small_runs import Train

Content = dict[str, Any]
HERE = Path("x.ckpt")


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def doubling() -> list[Any]:
    value: list[Any] = ["ha"]
    for _ in range(60):
        value = [value, value]
    return value


ABSENT = object()
LOOPS = ("loops", "fit_loop")
RANK = (ENTRY, "ranks", 0)
STATE = ("optimizer_states", 0, "state", 0)
# where something odd stands, and what stands there
OF_A_RUN: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("global_step",), [ABSENT, None, "x", -1, 0.5, 2**70, True]),
    (("loops",), [ABSENT, None, [], {}]),
    ((*LOOPS, "epoch_progress"), [ABSENT, None, {}]),
    ((*LOOPS, "epoch_progress", "total", "started"), [None, "x", math.nan]),
    ((*LOOPS, "epoch_loop.batch_progress", "is_last_batch"), [ABSENT, "x"]),
    ((*LOOPS, "epoch_loop.batch_progress", "current"), [[], {"ready": 1}]),
    ((*LOOPS, "epoch_loop.automatic_optimization.optim_progress"), [ABSENT, None, {}, 5]),
    ((*LOOPS, "state_dict"), [ABSENT, None, 5]),
    (("optimizer_states",), [ABSENT, [], [None], [{}], [{"state": {}}], {}]),
    (("optimizer_states", 0, "param_groups"), [[], [None], [{}], [{"params": [0, 1]}]]),
    (("optimizer_states", 0, "state"), [[], {0: None}, {0: 5}, {"x": {}}]),
    ((*STATE, "exp_avg"), [ABSENT, None, "x", torch.zeros(3), torch.zeros(2, 2, dtype=torch.int)]),
    ((*STATE, "step"), [ABSENT, None, "x", torch.zeros(3)]),
    (("lr_schedulers",), [None, [], [None], [{}], "x"]),
    (("callbacks",), [None, [], "x", {"EarlyStopping": None}, {5: 5}]),
    ((ENTRY, "best"), [ABSENT, None, [], {}]),
    ((ENTRY, "best", "loss"), [ABSENT, None, "x", torch.zeros(3)]),
    ((ENTRY, "best", "step"), [ABSENT, None, "x", 0.5, -1, 2**70]),
    ((ENTRY, "ranks"), [ABSENT, None, [], [None], [{}], {}]),
    ((*RANK, "cpu"), [ABSENT, None, "x", torch.zeros(3), torch.zeros(3, dtype=torch.uint8)]),
    ((*RANK, "cuda"), [5, "x", torch.zeros(3)]),
    ((*RANK, "state"), [None, {}, [None], [[]], [[None]], [[torch.zeros(4, 16)]], endless()]),
    ((*RANK, "state", 0, 0), [torch.zeros(3, 16), torch.zeros(4, 5), torch.zeros(())]),
    ((*RANK, "state", 0, 0), [torch.zeros(4, 16, dtype=torch.int64)]),
    ((ENTRY, "sizes"), [ABSENT, None, [], [4], [4, "x"], [4, 0], [4, 10, 3], [4, 2**70], [5, 10]]),
    ((ENTRY, "fingerprint"), [ABSENT, None, 5, "x"]),
    ((ENTRY, "finished"), [None, "x", 5]),
    ((ENTRY, "config"), [ABSENT, None, [], {}, endless(), {"data": endless()}, torch.zeros(3)]),
    ((ENTRY, "config", "model"), [ABSENT, None, [], endless(), doubling(), {5: 5}]),
    ((ENTRY, "config", "optimizer"), [{"name": "adam"}, {}]),
    ((ENTRY, "config", "trainer", "max_steps"), [torch.zeros(3), endless(), {1: 2}]),
    (("epoch",), [None, "x"]),
    (("pytorch-lightning_version",), [None, 5, "x"]),
]
OF_A_MODEL: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("state_dict",), [ABSENT, None, [], {}, {5: torch.zeros(3)}, {"x": endless()}]),
    (("state_dict", "network.decoder.bias"), [ABSENT, None, "x", torch.zeros(()), torch.zeros(3)]),
    ((ENTRY,), [ABSENT, None, [], {}, endless()]),
    ((ENTRY, "version"), [ABSENT, None, "x", 2**70, -1, True]),
    ((ENTRY, "architecture"), [ABSENT, None, [], {}, endless()]),
    ((ENTRY, "architecture", "kind"), [ABSENT, None, 5, "lstn", "x\ny", "x" * 5000, []]),
    ((ENTRY, "architecture", "num_layers"), [None, -1, 0, 3, 2**70, True, 1.0]),
    ((ENTRY, "architecture", "hidden_size"), [None, -1, 10**400, "16"]),
    ((ENTRY, "architecture", "dropout"), ["x", math.nan, 10**400, -1.0]),
    ((ENTRY, "tokens"), [ABSENT, None, [], ["a"], [None], {}, ["a"] * 5, endless()]),
    ((ENTRY, "facts"), [None, [], "x", {"step": []}, {"primer": endless()}, {5: 5}]),
]
# values that a model is used by, which sampling and evaluating come to
FACTS = {
    "encoding": [None, 5, "no-encoding", "x\ny"],
    "primer": [None, 5, 0.5, "Ω", "", "x" * 100_000],
    "input_h5": [None, 5, "", "x\0y", "/dev/null"],
    "input_json": [None, 5, "corpus.h5"],
    "source": [5, "torch-rnn"],
    "step": ["x", -1, 2**70, math.nan],
    "val_loss": ["x", math.nan],
}


def changed(content: Content, path: tuple[Any, ...], value: Any) -> Content:
    content = copy.deepcopy(content)
    node: Any = content
    for name in path[:-1]:
        node = node[name]
    if value is ABSENT:
        del node[path[-1]]
    elif isinstance(node, tuple):
        pytest.fail("a tuple cannot be changed in place")
    else:
        node[path[-1]] = value
    return content


def save(content: Content) -> None:
    with open(HERE, "w+b") as file:
        torch.save(content, file, pickle_protocol=2)
        checkpoint.seal(file)


@pytest.fixture(params=["one of each", pytest.param("all", marks=pytest.mark.slow)])
def chosen(request: pytest.FixtureRequest) -> slice:
    """Which of the values that stand at a place."""
    return slice(None) if request.param == "all" else slice(1)


@pytest.fixture
def content(trained: Train) -> Content:
    """A run of 14 steps, whose checkpoint is made odd."""
    nothing_else = ("logger=csv", "callbacks.samples.length=0")
    trained("trainer.max_steps=14", "callbacks=early_stopping", "data.shuffle=true", *nothing_else)
    content = checkpoint.read_run(Path("run/checkpoints/last.ckpt"))
    for rank in content[ENTRY]["ranks"]:
        rank["state"] = [list(layer) for layer in rank["state"]]
    return content


@pytest.fixture
def answers(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command; what it answers is a result, or one line that names the file."""

    def run(where: Any, *words: str, names: str = str(HERE)) -> tuple[int, str]:
        capfd.readouterr()
        try:
            code = main(words)
        except BaseException as error:
            pytest.fail(f"{where}: {words[0]} raised {error!r}")
        err = capfd.readouterr().err
        assert code in (0, 2), f"{where}: {words[0]} ended with {code}\n{err}"
        if code == 2:
            lines = err.splitlines()
            assert names in lines[-1], f"{where}: {lines[-1]}"
            assert len(lines[-1]) < 600, f"{where}: {lines[-1]}"
        return code, err

    return run


def resumed(where: Any, answers: Callable[..., tuple[int, str]]) -> int:
    shutil.rmtree("new", ignore_errors=True)
    code, _ = answers(where, "train", f"resume={HERE}", "trainer.max_steps=16", "hydra.run.dir=new")
    return code


def test_a_run_that_is_odd(
    content: Content, answers: Callable[..., tuple[int, str]], chosen: slice
) -> None:
    """It goes on, or a line says why not."""
    for path, values in OF_A_RUN:
        for value in values[chosen]:
            where = f"{path} = {'nothing' if value is ABSENT else type(value).__name__}"
            save(changed(content, path, value))
            try:
                checkpoint.read_run(HERE)
            except InputError as refused:
                assert str(refused).startswith(f"{HERE}: "), where
                assert "\n" not in str(refused), where
                assert len(str(refused)) < 300, where
            else:
                resumed(where, answers)
    # and what is refused when it is read, the command refuses
    for path in (("global_step",), (ENTRY, "best"), (*LOOPS, "epoch_progress")):
        save(changed(content, path, None))
        assert resumed(path, answers) == 2


def test_a_model_that_is_odd(content: Content, answers: Callable[..., tuple[int, str]]) -> None:
    for path, values in OF_A_MODEL:
        for value in values:
            where = f"{path} = {'nothing' if value is ABSENT else repr(value)[:40]}"
            save(changed(content, path, value))
            try:
                charrnn.load(HERE)
            except InputError as refused:
                assert str(refused).startswith(f"{HERE}: "), where
                assert "\n" not in str(refused), where
                assert len(str(refused)) < 350, where
            else:
                pytest.fail(f"{where}: is loaded")
    for words in (
        ["sample", f"checkpoint={HERE}"],
        ["evaluate", f"checkpoint={HERE}"],
        ["convert", f"input={HERE}", "output=y.safetensors"],
        ["train", f"resume={HERE}", "trainer.max_steps=16"],
        ["train", f"init_from={HERE}", "data.input_txt=corpus.txt"],
    ):
        assert answers(words, *words)[0] == 2
    assert not Path("y.safetensors").exists()


def test_facts_that_are_odd(
    content: Content, answers: Callable[..., tuple[int, str]], chosen: slice
) -> None:
    for name, values in FACTS.items():
        for value in values[chosen]:
            where = f"{name} = {value!r:.40}"
            save(changed(content, (ENTRY, "facts", name), value))
            answers(where, "sample", f"checkpoint={HERE}", "length=5", names="")
            for more in ([], ["input_txt=corpus.txt", "temperature=recorded"]):
                answers(where, "evaluate", f"checkpoint={HERE}", *more, names="")
            answers(where, "convert", f"input={HERE}", "output=y.safetensors", names="")


def test_the_whole_one_goes_on(content: Content, answers: Callable[..., tuple[int, str]]) -> None:
    """What the others differ from is taken by every command."""
    save(content)
    assert resumed("nothing", answers) == 0
    assert answers("nothing", "sample", f"checkpoint={HERE}", "length=5")[0] == 0
    assert answers("nothing", "evaluate", f"checkpoint={HERE}")[0] == 0
