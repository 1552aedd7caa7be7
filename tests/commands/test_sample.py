"""charrnn sample, from its options to the bytes on standard output."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from charrnn.__main__ import main
from charrnn.cli import help_page
from charrnn.commands import sample
from charrnn.errors import InputError
from charrnn.model import Model, load
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Patch
from tests.generation.models import make_model
from tests.small_runs import Capture


def run(path: Path, **given: Any) -> None:
    """Run the command with its defaults in conf/, except these."""
    schema, page = sample.SampleOptions, help_page.read_page("sample").options
    values = {f.name: yaml.safe_load(page[f.name].default) for f in fields(schema)}
    sample.run(schema(**{**values, "checkpoint": str(path), "length": 100, "seed": 1, **given}))


def test_sample_prints_the_start_and_the_new_text(path: Path, capfd: Capture) -> None:
    run(path, start_text="Hm: ", temperature=0.7)
    text = "Hm: " + load(path).generate(100, "Hm: ", temperature=0.7, seed=1)
    assert capfd.readouterr() == (text, "")


def test_a_drawn_seed_is_told(path: Path, capfd: Capture) -> None:
    run(path, seed=None)
    out, err = capfd.readouterr()
    assert out == load(path).generate(100, seed=int(err.removeprefix("seed=")))


def test_bytes_are_printed(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    vocabulary = Vocabulary.from_tokens(["a", "\n", "[195]", "[169]", "[255]"])
    Model(make_model(vocabulary=vocabulary, conviction=1)).save(path)
    run(path, start_text="é", length=200)
    out, _ = capfdbinary.readouterr()
    assert (out[:2], len(out)) == (b"\xc3\xa9", 202)
    assert set(out) == set(b"a\n\xc3\xa9\xff")


CHARRNN = [sys.executable, "-m", "charrnn"]


def test_a_reader_that_leaves_is_no_failure(path: Path) -> None:
    words = ["sample", f"checkpoint={path}", "length=100000000", "seed=1"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*CHARRNN, *words], stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(1000)) == 1000
        process.stdout.close()
        assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 0


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_several_texts_are_told_apart(path: Path, tmp_path: Path, capfd: Capture) -> None:
    run(path, num_samples=3, start_text="A")
    out = capfd.readouterr().out
    texts = load(path).generate(100, "A", seed=1, num_samples=3)
    assert out.split("\n----------\n") == ["A" + text for text in texts]
    output = tmp_path / "deep" / "new.txt"
    for start_text in ("B", "A"):  # replaces the file
        run(path, num_samples=3, start_text=start_text, output=str(output))
    assert output.read_text() == out
    assert list(output.parent.iterdir()) == [output]
    assert capfd.readouterr() == ("", "")


def test_json(path: Path, capfd: Capture) -> None:
    run(path, json=True, num_samples=2, start_text="Hm", temperature=0.5, length=30)
    records, model = lines_of(capfd.readouterr().out), load(path)
    assert [(r["temperature"], r["sample"]) for r in records] == [(0.5, 0), (0.5, 1)]
    texts = model.generate(30, "Hm", num_samples=2, seed=1, temperature=0.5)
    assert [r["text"] for r in records] == texts
    for record in records:
        assert (record["start_text"], record["seed"]) == ("Hm", 1)


def test_lines_differ_as_long_as_there_are_some(path: Path, capfd: Capture) -> None:
    Model(make_model(vocabulary=Vocabulary(list("\nab ")), conviction=0.5)).save(path)
    twelve = {"mode": "lines", "num_samples": 12, "length": 40}
    run(path, **twelve)
    out, err = capfd.readouterr()
    assert (len({*out.split("\n")}), out[-1], err) == (12 + 1, "\n", "")
    run(path, **twelve, json=True)
    assert [r["text"] for r in lines_of(capfd.readouterr().out)] == out.splitlines()
    run(path, mode="lines", num_samples=7, length=1)
    assert sorted(capfd.readouterr().out.splitlines()) == ["a", "b"]


def test_a_start_from_a_file(path: Path, capfd: Capture, monkeypatch: Patch) -> None:
    start = path.with_name("start.txt")
    start.write_bytes(b"Hm: ")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hm: ")))
    for name in (str(start), "-"):
        run(path, start_file=name)
        assert capfd.readouterr().out == "Hm: " + load(path).generate(100, "Hm: ", seed=1)
    start.write_text("né", encoding="utf-8")
    run(path, start_file=str(start), unknown="replace")
    out, err = capfd.readouterr()
    assert out == "né" + load(path).generate(100, "ne", seed=1)
    assert "does not know 'é' and reads similar characters instead" in err
    start.write_bytes("né".encode("utf-16"))
    with pytest.raises(InputError, match=r"not utf-8 .*; save it as plain text"):
        run(path, start_file=str(start))


def test_a_sweep_labels_and_numbers(path: Path, monkeypatch: Patch, capfd: Capture) -> None:
    monkeypatch.chdir(path.parent)
    words = ["sample", "-m", f"checkpoint={path}", "seed=1", "length=20", "temperature=0.2,1.0"]
    assert main(words) == 0
    texts = [load(path).generate(20, temperature=t, seed=1) for t in (0.2, 1.0)]
    begin, *found = capfd.readouterr().out.split("---------- ")
    assert (begin, len(found)) == ("", 2)
    for text, expected, at in zip(found, texts, ("0.2", "1.0"), strict=True):
        label, _, written = text.partition("\n")
        assert f"temperature={at}" in label
        assert written.removesuffix("\n") == expected.removesuffix("\n")
    assert main([*words, "output=new.txt"]) == 0
    assert [Path(f"new-{n}.txt").read_text() for n in range(2)] == texts
    assert not Path("new.txt").exists()
