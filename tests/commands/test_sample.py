"""charrnn sample, from its options to the bytes on standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli.options import SampleOptions
from charrnn.commands import sample
from charrnn.errors import InputError, RunError
from charrnn.model import Model, load
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Model(trained_model()).save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def run(path: Path, **given: Any) -> None:
    values: dict[str, Any] = {
        "checkpoint": str(path),
        "length": 100,
        "temperature": 0.8,
        "start_text": "",
        "start_file": None,
        "unknown": "error",
        "prime": "text",
        "seed": 1,
        "sample": True,
        "top_k": None,
        "top_p": None,
        "min_p": None,
        "ban": None,
        "num_samples": 1,
        "until": None,
        "mode": "text",
        "json": False,
        "output": None,
        "engine": "auto",
    }
    sample.run(SampleOptions(**{**values, **given}))


def test_it_prints_the_start_and_the_new_text(
    path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run(path, start_text="Hm: ", temperature=0.7)
    out, err = capfdbinary.readouterr()
    assert out.decode() == "Hm: " + load(path).generate(100, "Hm: ", temperature=0.7, seed=1)
    assert err == b""


def test_an_ensemble_writes(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = path.with_name("other.safetensors")
    Model(trained_model("gru", seed=4)).save(other)
    run(path, checkpoint=[str(path), str(other)], start_text="Hm: ", top_k=5)
    both = load([path, other]).generate(100, "Hm: ", seed=1, top_k=5)
    assert capfd.readouterr().out == "Hm: " + both
    assert both != load(path).generate(100, "Hm: ", seed=1, top_k=5)
    run(path, checkpoint=[str(path)])
    assert capfd.readouterr().out == load(path).generate(100, seed=1)
    with pytest.raises(InputError, match="is the model itself"):
        run(path, checkpoint=[str(path), str(other)], output=str(other))


def test_a_drawn_seed_is_told(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(path, seed=None)
    out, err = capfd.readouterr()
    name, _, seed = err.strip().partition("=")
    assert name == "seed"
    assert out == load(path).generate(100, seed=int(seed))


def test_several_samples_follow_one_another(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(path, num_samples=3, start_text="A")
    texts = capfd.readouterr().out.split("\n----------\n")
    assert texts == ["A" + t for t in load(path).generate(100, "A", seed=1, num_samples=3)]


def test_no_characters_but_those_asked_for(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(path, length=0, start_text="A")
    assert capfd.readouterr().out == "A"
    run(path, length=0, num_samples=2)
    assert capfd.readouterr().out == "\n----------\n"


def test_output(path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "deep" / "new.txt"
    for start in ("A", "B"):
        run(path, output=str(output), start_text=start)
        assert output.read_text() == start + load(path).generate(100, start, seed=1)
    assert list(output.parent.iterdir()) == [output]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_an_output_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for output in (path / "below", tmp_path, Path("/dev/null")):
        with pytest.raises((InputError, RunError), match=f"^{output}: "):
            run(path, output=str(output))
    assert Path("/dev/null").is_char_device()
    assert sorted(tmp_path.iterdir()) == before


def test_a_failure_leaves_no_output(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="start_text"):
        run(path, output=str(tmp_path / "new.txt"), start_text="é")
    assert not (tmp_path / "new.txt").exists()


def test_bytes_are_printed_as_they_are(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    vocabulary = Vocabulary.from_tokens(["a", "\n", "[195]", "[169]", "[255]"])
    Model(trained_model(vocabulary=vocabulary, conviction=1)).save(tmp_path / "bytes.safetensors")
    run(tmp_path / "bytes.safetensors", start_text="é", length=200)
    out, _ = capfdbinary.readouterr()
    assert out.startswith(b"\xc3\xa9")
    assert len(out) == 202
    assert set(out) == set(b"a\n\xc3\xa9\xff")


def test_what_utf_8_cannot_write_is_written(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    model = Model(trained_model(vocabulary=Vocabulary(["\ud800", "é", "\udc80"]), conviction=1))
    model.save(tmp_path / "odd.safetensors")
    run(tmp_path / "odd.safetensors")
    out, _ = capfdbinary.readouterr()
    text = model.generate(100, seed=1)
    assert len(set(text)) == 3
    assert b"\xed\xa0\x80" in out
    assert "é".encode() in out


def test_progress_is_told_where_it_takes_long(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sample, "_SILENT_SECONDS", 0.0)
    monkeypatch.setattr(sample, "_REPEAT_SECONDS", 0.0)
    run(path, length=2000, num_samples=2)
    out, err = capfd.readouterr()
    assert err.splitlines()[-1] == "4,000 of 4,000 characters"
    assert len(out) == 4000 + len("\n----------\n")


# As processes


def charrnn(*words: str) -> list[str]:
    return [sys.executable, "-m", "charrnn", "sample", *words]


def test_a_reader_that_leaves_is_no_failure(path: Path) -> None:
    process = subprocess.Popen(
        charrnn(f"checkpoint={path}", "length=100000000", "engine=numpy", "seed=1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_a_full_device_is_named(path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            charrnn(f"checkpoint={path}", "seed=1"), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("charrnn sample: standard output: cannot be written")
    assert done.stderr.count("\n") == 1


def test_a_terminal_gets_a_line_break_more(path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    done = subprocess.run(
        charrnn(f"checkpoint={path}", "length=30", "seed=1"), stdout=follower, check=True
    )
    os.close(follower)
    shown = os.read(leader, 1000).decode().replace("\r\n", "\n")
    os.close(leader)
    assert done.returncode == 0
    assert shown == load(path).generate(30, seed=1) + "\n"


def test_neither_torch_nor_lightning_is_imported(path: Path) -> None:
    script = (
        "import sys; from charrnn.__main__ import main; "
        f"code = main(['sample', 'checkpoint={path}', 'length=10', 'seed=1']); "
        "print(code, sorted({'torch', 'lightning', 'numba', 'h5py'} & sys.modules.keys()), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == "0 []\n"
    assert len(done.stdout) == 10
