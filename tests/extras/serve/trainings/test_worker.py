"""The queue and its processes: kills, turns and failures; and what a text may be."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from charrnn.errors import InputError
from charrnn.extras.serve.trainings.progress import describe_progress
from charrnn.extras.serve.trainings.store import Training
from charrnn.extras.serve.trainings.texts import check_name, read_text_facts
from charrnn.runs.summary import Summary
from tests.extras.serve.servers import serving_main
from tests.extras.serve.trainings.test_routes import PATCH, URL, add
from tests.extras.serve.trainings.tiny import write_text
from tests.waiting import until

AT_THE_END = f"{PATCH}workers.WORDS += ('checkpoint_every=2000',)"
SHORT_TURNS = f"{PATCH}workers.TURN = 4"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_training_survives_a_kill_of_its_server(models: Path) -> None:
    """Check that it is saved without its server, and continues with the next one."""
    with serving_main(models, "min_free=0", patch=AT_THE_END) as (server, http):
        id_ = add(http, "cats").json()["id"]
        until(lambda: len(http.get(f"{URL}/{id_}").json()["train"]) > 20)
        server.stop(signal.SIGKILL)
    # The second server starts while the first training may still save.
    with serving_main(models, "min_free=0", patch=AT_THE_END) as (_, http):
        until(lambda: http.get(f"{URL}/{id_}").json()["state"] == "ready")
    run = Path("outputs/serve", id_, "run")
    [step] = re.findall(r"resuming from .*, step ([\d,]+)", (run.parent / "log").read_text())
    assert int(step.replace(",", "")) < 2000
    steps = [row["step"] for row in Summary(run).rows]
    assert steps == sorted({*steps})
    assert steps[-1] == 2000
    assert Summary(run).text == "cats.txt"
    assert Path("outputs/latest").resolve() == run.resolve()


@pytest.mark.slow
def test_trainings_take_turns_and_a_failed_one_holds_up_nobody(models: Path) -> None:
    with serving_main(models, "min_free=0", patch=SHORT_TURNS) as (_, http):
        ids = [add(http, f"cats{n}", write_text(n)).json()["id"] for n in range(3)]
        Path("outputs/serve", ids[2], "cats2.txt").unlink()
        expected = ["ready", "ready", "failed"]
        until(lambda: [http.get(f"{URL}/{id_}").json()["state"] for id_ in ids] == expected, 240)
        error = http.get(f"{URL}/{ids[2]}").json()["error"]
    assert error.endswith("/cats2.txt: no such file; name a file, a folder or a glob")
    # The first one was interrupted, so that the other one had a network early.
    run = Path("outputs/serve", ids[0], "run")
    assert len([*run.glob("events.out.tfevents.*")]) > 1
    assert Summary(run).rows[-1]["step"] == 2000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the text is empty"),
        (b"a", "the text is too short"),
        (b"caf\xe9 au lait, s'il vous pla\xeet", "not utf-8 at byte 3"),
        ("büro ".encode("utf-16") * 30, "is utf-16"),
        (b"\0" * 200, "is not a text"),
    ],
)
def test_a_file_that_is_no_text_is_refused_without_options(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_text_facts(tmp_path / "text", "mine")
    assert str(refused.value).startswith(f"mine: {reason}")
    assert "=" not in str(refused.value)


def test_a_text_has_a_kind_and_a_name_of_plain_characters(tmp_path: Path) -> None:
    lines = "".join(f"Anna{number}\n" for number in range(20_000))
    code = "def f(x):\n    if x[0] == {}:\n        return (x + 1)\n" * 20
    for text, kind in ((lines, "list"), (code, "code"), (write_text().decode(), "text")):
        (tmp_path / "text").write_text(text)
        assert read_text_facts(tmp_path / "text", "mine") == (len(text), kind)
    assert check_name("  Faust,  der Tragödie 1. Teil ") == "Faust, der Tragödie 1. Teil"
    for name in ("", " ", "../x", "a/b", "a\\b", ".", "<b>", "a&b", "a\0", "a\u202eb", "x" * 51):
        with pytest.raises(InputError, match="name: "):
            check_name(name)


def test_the_time_that_is_left_is_known_after_ten_seconds() -> None:
    training = Training("cats.txt", "cats", "me", None, 1000, "text")
    (training.run / ".hydra").mkdir(parents=True)
    assert describe_progress(training)["seconds_left"] is None
    model = "{kind: gru, num_layers: 2, hidden_size: 8}"
    config = f"model: {model}\ndata: {{batch_size: 5, seq_length: 20}}\ntrainer: {{max_steps: 300}}"
    (training.run / ".hydra/config.yaml").write_text(config)
    for step, left in ((1, None), (99, None), (100, 20.0), (300, 0.0)):
        rows = f"step,train/loss,characters_per_second\n1,4.5,1000\n{step},2.5,1000\n"
        (training.run / "metrics.csv").write_text(rows)
        assert describe_progress(training)["seconds_left"] == left
