"""The benchmarks run: what they say of times is not looked at."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="benchmarks need the extra bench")

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.measuring import Effort, Measured, interleaved, others, run
from benchmarks.results import Part, row
from benchmarks.sections import SECTIONS, section


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("To be, or not to be, that is the question:\n" * 1500, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_section_from_the_command_line(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "found"
    words = ["sampling", "--tiny", "--text", str(text), "--output", str(output)]
    assert main([*words, "--folder", str(tmp_path)]) == 0
    found = json.loads((output / "benchmarks.json").read_text(encoding="utf-8"))
    rows = found["sampling"]["rows"]
    assert {row["unit"] for row in rows} == {"characters/s"}
    assert all(row["value"] > 0 for row in rows)
    table = capsys.readouterr().out
    assert "| one stream, NumPy |" in table
    assert table.strip() in (output / "benchmarks.md").read_text(encoding="utf-8")
    assert not list(tmp_path.glob("charrnn-bench-*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "sampling"])
def test_every_section(name: str, text: Path, tmp_path: Path) -> None:
    words = [name, "--tiny", "--text", str(text), "--output", str(tmp_path / "found")]
    assert main([*words, "--folder", str(tmp_path)]) == 0


def test_sections_are_modules() -> None:
    assert all(callable(section(name)) for name in SECTIONS)


def test_parts_take_turns() -> None:
    order: list[str] = []

    def part(name: str) -> float:
        order.append(name)
        return len(order)

    effort = Effort(rounds=3, most_rounds=3, patience=0, scale=1)
    found = interleaved({"a": lambda: part("a"), "b": lambda: part("b")}, effort)
    assert order == list("ababab")
    assert found["a"].values == [1, 3, 5]


def test_disturbed_rounds_are_told_and_do_not_count() -> None:
    measured = Measured([1.0, 9.0, 2.0, 3.0], [True, False, True, True])
    assert measured.median == 2
    assert row("x", "ms", measured).rounds == "3 of 4"
    assert Measured([1.0, 9.0], [False, False]).median == 5


def test_what_we_do_ourselves_is_not_others() -> None:
    with others() as taken:
        run([sys.executable, "-c", "sum(range(10_000_000))"], Path())
    assert 0 <= taken() <= 64


def test_child_processes(tmp_path: Path) -> None:
    code = "import sys; x = bytearray(80 << 20); print('out'); print('step 1', file=sys.stderr)"
    ended = run([sys.executable, "-c", f"{code}; import time; time.sleep(0.2)"], tmp_path)
    assert ended.output == "out\n"
    assert 0 < ended.at("step 1") < ended.seconds
    assert ended.peak_bytes > 80 << 20
    with pytest.raises(RuntimeError, match="exit code 3: why"):
        run([sys.executable, "-c", "import sys; print('why', file=sys.stderr); exit(3)"], tmp_path)


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "page.json"
    page.write_text(f"before\n{report.BEGIN}\nstale\n{report.END}\nafter\n", encoding="utf-8")
    measured = Measured([0.5], [True])
    part = Part([row("help", "s", measured, bar="<= 0.2")])
    for name in ("sampling", "startup"):  # the order of the table is its own
        everything = report.update(results, name, part)
    report.replace_table(page, everything)
    written = page.read_text(encoding="utf-8")
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "stale" not in written
    assert written.index("### Start-up") < written.index("### Sampling")
    assert "| help | 0.5 s | ≤ 0.2, **missed** | 1 of 1 |" in written
