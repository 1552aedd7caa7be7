"""`charrnn preprocess`, against a short statement of what torch-rnn's script does."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h5py
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charrnn.__main__ import main
from charrnn.options.datasets import SplitOptions
from charrnn.text import preprocessing
from tests.conftest import Capture, write_files
from tests.text.conftest import read_text
from tests.tools import refusal_of

PACK: dict[str, Any] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
# little of everything, so that characters come back; or anything at all
TEXTS = st.one_of(
    st.text(st.sampled_from("ab \n\r\0\ufeffe\u0301é漢🎭👩\u200d"), min_size=1, max_size=60),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)


def by_torch_rnn(tokens: Any, val_frac: float = 0.1, test_frac: float = 0.1) -> dict[str, Any]:
    """Compute ids from 1 in order of first appearance, then cut."""
    ids: dict[Any, int] = {}
    every = [ids.setdefault(token, len(ids) + 1) for token in tokens]
    val, test = int(val_frac * len(every)), int(test_frac * len(every))
    train = len(every) - val - test
    parts = {"train": every[:train], "val": every[train : train + val]}
    dtype = "uint8" if len(ids) <= 255 else "uint32"
    return {**parts, "test": every[train + val :], "tokens": list(ids), "dtype": dtype}


def read_as_torch_rnn(h5: Path = Path("x.h5")) -> dict[str, Any]:
    """Read the two files as torch-rnn would."""
    table = json.loads(h5.with_suffix(".json").read_text())
    tokens = [table["idx_to_token"][str(i + 1)] for i in range(len(table["idx_to_token"]))]
    assert table["token_to_idx"] == {token: i for i, token in enumerate(tokens, 1)}
    with h5py.File(h5, "r") as file:
        assert sorted(file) == ["test", "train", "val"]
        (dtype,) = {split.dtype.name for split in file.values()}
        for split in file.values():
            assert (split.ndim, split.chunks, split.compression) == (1, None, None)
        return {**{s: file[s][:].tolist() for s in file}, "tokens": tokens, "dtype": dtype}


def run(input_txt: str, *words: str) -> int:
    return main(["preprocess", f"input_txt={input_txt}", "quiet=true", *words])


@settings(max_examples=40)
@given(
    TEXTS,
    st.sampled_from([(0.1, 0.1), (0.0, 0.0), (0.0, 0.3), (0.5, 0.0), (0.33, 0.66)]),
    st.sampled_from([1, 7, 1 << 15]),
    st.sampled_from(["utf-8-sig", "utf_8_sig", "utf-8", "utf-16", "utf-32-be", "gb18030"]),
)
@example("one\r\ntwo\r\n\rthree", (0.33, 0.33), 7, "utf-16")
@example("".join(map(chr, range(0x4E00, 0x4EFF))), (0.1, 0.1), 7, "utf-8")  # ids of one byte
@example("".join(map(chr, range(0x4E00, 0x4F00))), (0.1, 0.1), 7, "utf-8")  # ids of four
def test_ids_are_those_of_torch_rnn(
    text: str, fractions: tuple[float, float], block: int, encoding: str
) -> None:
    """Compare with and without a byte-order mark. The line ends of Windows become newlines."""
    if encoding == "utf-8" and text[0] == "\ufeff":
        encoding = "utf-8-sig"
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode(encoding)))),
        patch.object(preprocessing, "_BLOCK", block),
    ):
        name, h5 = re.sub("[-_]sig$", "", encoding), Path(folder, "x.h5")
        split = SplitOptions(*fractions, name)
        preprocessing.preprocess("-", h5, None, split)
        text = text.replace("\r\n", "\n")
        assert read_as_torch_rnn(h5) == by_torch_rnn(text, *fractions)
        assert read_text(h5) == text


def test_ids_of_bytes_are_those_of_torch_rnn(folder: Path) -> None:
    data = bytes(range(256)) + "né".encode()
    Path("x.txt").write_bytes(data)
    run("x.txt", "encoding=bytes")
    tokens = [chr(b) if b < 128 else f"[{b}]" for b in range(256)]
    assert read_as_torch_rnn() == {**by_torch_rnn(data), "tokens": tokens}


@pytest.mark.parametrize(
    ("input_txt", "expected"),
    [
        ("t", ["t/a/g.txt", "t/a/z.txt", "t/a-b/y.txt", "t/b.txt"]),
        ("t/*", ["t/b.txt", "t/c.TXT", "t/d.md"]),
        ("**/?.md", ["m/2.md", "t/d.md"]),
        ("[t/d.md,m/*,t/d.md]", ["t/d.md", "m/10.md", "m/2.md", "t/d.md"]),
        ("[m].txt", ["[m].txt"]),
        ("./-", ["-"]),
    ],
)
def test_input_txt_names_files_in_order(folder: Path, input_txt: str, expected: list[str]) -> None:
    names = ["t/b.txt", "t/a/z.txt", "t/a-b/y.txt", "t/c.TXT", "t/d.md", "t/.e.txt", "m/10.md"]
    names += ["t/run/.hydra/config.yaml", "t/run/samples/s.txt", "t/.git/f.txt", "t/a/g.txt"]
    names += ["m/2.md", "[m].txt", "-"]
    write_files(folder, {name: f"<{name}>" for name in names})
    assert run(input_txt, "output_h5=x.h5", "lines=keep") == 0
    assert read_text() == "".join(f"<{name}>" for name in expected)


@pytest.mark.parametrize("suffix", PACK)
def test_damage_of_a_compressed_text_is_named(folder: Path, capsys: Capture, suffix: str) -> None:
    pack, name = PACK[suffix], f"x.txt{suffix}"
    Path(name).write_bytes(pack("Zoë ".encode() * 50_000) + pack(b"end"))
    assert run(name) == 0
    assert read_text() == "Zoë " * 50_000 + "end"
    whole = pack(os.urandom(100_000))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damaged in (whole[:-20], flipped, b"plain"):
        Path(name).write_bytes(damaged)
        refused = refusal_of(capsys, "preprocess", name, "encoding=bytes")
        assert f"{name}: damaged, or not a {suffix}" in refused


def test_the_splits_of_a_long_text() -> None:
    """Check that a split has a tenth, at most 2 million characters, or the given share."""
    for total, split, val, test in (
        (19_999_999, SplitOptions(), 1_999_999, 1_999_999),
        (300_000_000, SplitOptions(), 2_000_000, 2_000_000),
        (300_000_000, SplitOptions(val_frac=0.1), 30_000_000, 2_000_000),
    ):
        sizes = {"train": total - val - test, "val": val, "test": test}
        assert preprocessing.compute_split_sizes(total, split) == sizes
