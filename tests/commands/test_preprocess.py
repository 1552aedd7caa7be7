"""charrnn preprocess, from its options to what it prints."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest

from charrnn.commands import preprocess
from charrnn.options.commands import PreprocessOptions


def run(**options: Any) -> None:
    defaults: dict[str, Any] = {
        "output_h5": None,
        "output_json": None,
        "val_frac": 0.1,
        "test_frac": 0.1,
        "encoding": "utf-8",
        "line_ends": "keep",
        "lines": "auto",
        "quiet": False,
    }
    preprocess.run(PreprocessOptions(**{**defaults, **options}))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_prints_what_torch_rnn_prints(
    capsys: pytest.CaptureFixture[str], tiny_shakespeare: Path
) -> None:
    run(input_txt=str(tiny_shakespeare), output_h5="tiny.h5")
    assert capsys.readouterr() == (
        "Total vocabulary size: 65\n"
        "Total tokens in file: 1115394\n"
        "  Training size: 892316\n"
        "  Val size: 111539\n"
        "  Test size: 111539\n"
        "Using dtype uint8\n"
        "Wrote tiny.h5 and tiny.json\n",
        "",
    )


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.txt").write_text("text")
    run(input_txt="x.txt", output_json="y.json", quiet=True)
    assert capsys.readouterr() == ("", "")
    assert Path("x.h5").is_file()
    assert Path("y.json").is_file()


def test_a_sorted_list_is_shuffled_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.txt").write_text("".join(f"name {i:03}\n" for i in range(95)))
    run(input_txt="x.txt")
    out, err = capsys.readouterr()
    assert err.startswith("the lines are short and sorted")
    assert err.count("\n") == 1
    assert "  Val size: 81\n" in out  # nine whole lines
    run(input_txt="x.txt", lines="keep")
    out, err = capsys.readouterr()
    assert err == ""
    assert "  Val size: 85\n" in out


def test_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x00\xff\x00")))
    run(input_txt="-", output_h5="x.h5", encoding="bytes")
    with h5py.File("x.h5", "r") as file:
        assert file["train"][:].tolist() == [1, 2, 1]
