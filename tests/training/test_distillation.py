"""A student learns what its teachers predict, and resumes to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import charrnn
from charrnn.models import checkpoint
from charrnn.models.trained import Architecture
from charrnn.network import Network
from charrnn.network_ensemble import NetworkEnsemble
from charrnn.training.distillation import Distillation
from charrnn.training.stream_threads import SharedLoss, window_loss
from tests.small_runs import Train, assert_same, metrics, skip_without_bf16, tensors

V = 11


def network(kind: str, layers: int, seed: int, hidden: int = 16) -> Network:
    torch.manual_seed(seed)
    return Network(Architecture(kind, 8, hidden, layers, 0.0, False, vocabulary_size=V))


def windows(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    ids = torch.randint(V, (4, 6 * count + 1), generator=torch.Generator().manual_seed(1))
    return [(ids[:, k : k + 6], ids[:, k + 1 : k + 7]) for k in range(0, 6 * count, 6)]


def definition(student: Network, teachers: list[Network], weight: float) -> list[torch.Tensor]:
    """The loss of each window in float64: all text so far is read again for each."""
    losses = []
    whole = torch.cat([ids for ids, _ in windows(3)], 1)
    with torch.no_grad():
        each = [net.double()(whole)[0].softmax(-1) for net in (student, *teachers)]
        q, p = each[0], torch.stack(each[1:]).mean(0)
        for k, (_, targets) in enumerate(windows(3)):
            here = slice(6 * k, 6 * k + 6)
            text = -q[:, here].gather(-1, targets[..., None]).log().mean()
            teaching = -(p[:, here] * q[:, here].log()).sum(-1).mean()
            losses.append((1 - weight) * text + weight * teaching)
    return losses


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("count", [1, 2])
def test_the_loss_is_that_of_the_text_and_that_of_the_teachers(
    threads: int, weight: float, count: int
) -> None:
    student = network("lstm", 2, 0)
    teachers = [network("gru", 3, 1), network("rnn", 1, 2, hidden=20)][:count]
    loss_of = Distillation(teachers[0] if count == 1 else NetworkEnsemble(teachers), weight)
    parts = SharedLoss(student, threads, loss_of) if threads > 1 else None
    state, found, gradients = None, [], []
    for ids, targets in windows(3):
        if parts is None:
            loss, state = loss_of(student, ids, targets, state)
        else:
            loss, state = parts(ids, targets, state)
        student.zero_grad()
        loss.backward()
        gradients.append([p.grad.clone() for p in student.parameters() if p.grad is not None])
        found.append(loss.detach().double())
    assert len(state) == 2 + (3 if count == 1 else 4)
    assert all(not part.requires_grad for layer in state for part in layer)
    assert all(p.grad is None for teacher in teachers for p in teacher.parameters())
    expected = definition(student, teachers, weight)
    assert torch.allclose(torch.stack(found), torch.stack(expected), atol=1e-5)
    assert all(g.abs().sum() > 0 for each in gradients for g in each)


def test_a_student_that_is_its_teacher_learns_nothing_from_it() -> None:
    student = network("gru", 2, 0)
    (ids, targets), *_ = windows(1)
    loss, _ = Distillation(network("gru", 2, 0), 1.0)(student, ids, targets, None)
    assert max(g.abs().max() for g in torch.autograd.grad(
        loss, [p for p in student.parameters() if p.requires_grad])) < 1e-6  # fmt: skip
    plain, _ = window_loss(student, ids, targets, None)
    assert loss != plain


@pytest.fixture
def teachers(trained: Train) -> list[Path]:
    return [
        trained("trainer.max_steps=25", "seed=2", folder="t1"),
        trained("trainer.max_steps=25", "model=gru", "model.num_layers=1", folder="t2"),
    ]


def given(teachers: list[Path]) -> str:
    return f"distill_from=[{','.join(str(path) for path in teachers)}]"


def test_the_first_step_of_a_run(
    train: Train, teachers: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["trainer.max_steps=1", "print_every=1", "validate_every=0"]
    plain = train(*words, folder="plain")
    capfd.readouterr()
    taught = train(*words, given(teachers), "distill_weight=0.75", folder="taught")
    assert "teachers: 2, weight 0.75" in capfd.readouterr().err
    losses = [float(metrics(run)[0]["train/loss"]) for run in (plain, taught)]
    # a new network predicts all alike, so whoever teaches, its first loss is about ln V
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.3)
    # a model of it is a model
    assert tensors(taught)["weights"].keys() == tensors(plain)["weights"].keys()
    assert len(charrnn.load(taught).generate(10)) == 10


@pytest.mark.parametrize("case", ["threads", "bf16", "batchnorm, one teacher"])
def test_resumed_is_uninterrupted(train: Train, teachers: list[Path], case: str) -> None:
    if case == "bf16":
        skip_without_bf16("bf16-mixed")
    more = {
        "threads": ["trainer.threads=2", given(teachers)],
        "bf16": ["trainer.precision=bf16-mixed", given(teachers)],
        "batchnorm, one teacher": ["model.batchnorm=true", f"distill_from={teachers[0]}"],
    }[case]
    overrides = [*more, "model.dropout=0.25", "validate_every=11", "logger=csv"]
    whole = train(*overrides, "trainer.max_steps=27", folder="whole")
    parts = train(*overrides, "trainer.max_steps=9", folder="parts")
    for stop in (20, 27):
        train(f"resume={parts}", f"trainer.max_steps={stop}", small=False)
    same, found = tensors(whole), tensors(parts)
    for part in ("weights", "optimizer", "ranks", "step"):
        assert_same(found[part], same[part], part)
    assert len(found["ranks"][0]["state"]) == (4 if "one" in case else 5)


@pytest.mark.slow
def test_two_processes_are_taught_as_one_is(train: Train, teachers: list[Path]) -> None:
    wanted = [given(teachers), "trainer.max_steps=40", "print_every=1"]
    one = train(*wanted, folder="one")
    two = train(*wanted, "trainer.devices=2", "callbacks.checkpoints.keep_every=21", folder="two")
    for mine, theirs in zip(metrics(one), metrics(two), strict=True):
        for name in ("train/loss", "val/loss"):
            assert mine[name] == theirs[name] == "" or float(mine[name]) == pytest.approx(
                float(theirs[name]), abs=1e-4
            )
    expected = tensors(two)
    shutil.copy(two / "checkpoints" / "step-21.ckpt", two / "checkpoints" / "last.ckpt")
    train(f"resume={two}", small=False)
    assert_same(tensors(two), expected)


def test_a_resume_keeps_its_teachers(
    train: Train, workplace: Path, teachers: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(given(teachers), "trainer.max_steps=5")

    def refused(*words: str) -> str:
        capfd.readouterr()
        train(*words, "trainer.max_steps=9", small=False, code=2)
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        return err

    assert "a resume cannot change it" in refused(f"resume={run}", f"distill_from={teachers[0]}")
    assert "a resume cannot change it" in refused(f"resume={run}", "distill_weight=0.9")
    # named from where one stands they are the same
    train(f"resume={run}", "distill_from=[t1,t2]", "trainer.max_steps=6", small=False)
    plain = train("trainer.max_steps=5", folder="plain")
    assert "a resume cannot change it" in refused(f"resume={plain}", given(teachers))
    shutil.copy(plain / "model.safetensors", teachers[0] / "model.safetensors")
    assert "trained with other teachers" in refused(f"resume={run}")
    shutil.rmtree(teachers[0])
    assert "distill_from: " in refused(f"resume={run}")
    assert checkpoint.read(run / "checkpoints" / "last.ckpt")["global_step"] == 6


def test_auto_takes_no_run_of_other_teachers(
    train: Train, workplace: Path, teachers: list[Path]
) -> None:
    from charrnn.__main__ import main
    from tests.small_runs import SMALL

    def auto(*words: str) -> list[Path]:
        assert main(["train", *SMALL, "resume=auto", "trainer.max_steps=10", *words]) == 0
        return sorted(p.parent for p in workplace.glob("outputs/train/*/*/.hydra"))

    (first,) = auto(given(teachers))
    for name in ("last.ckpt", "best.ckpt"):
        (first / "checkpoints" / name).unlink()
    assert len(auto()) == 2
    assert len(auto(given(teachers[:1]))) == 3
    assert len(auto(given(teachers))) == 3
    assert (first / "checkpoints" / "last.ckpt").is_file()


def test_teachers_of_other_characters(
    train: Train, workplace: Path, teachers: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    text = Path("corpus.txt").read_text("utf-8")
    Path("corpus.txt").write_text(text[::-1], encoding="utf-8")
    train(given(teachers), "trainer.max_steps=3", folder="reversed")  # in another order
    for other in (text + "!", text.replace("Z", "z")):
        Path("corpus.txt").write_text(other, encoding="utf-8")
        capfd.readouterr()
        train(given(teachers), folder="other", code=2)
        assert "a teacher must know the same characters" in capfd.readouterr().err
        assert not list(Path("other").glob("*"))
