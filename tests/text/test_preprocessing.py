"""Text -> HDF5 + JSON, against a plain statement of what torch-rnn's script does."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import mmap
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import InputError, RunError
from charrnn.options.datasets import SPLITS, SplitOptions
from charrnn.text import preprocessing, sources
from charrnn.text.preprocessing import Preprocessed, preprocess, read_text
from charrnn.text.vocabulary import FIRST_FILE_ID, Vocabulary

FRACTIONS = st.sampled_from([(0.1, 0.1), (0.0, 0.0), (0.0, 0.3), (0.5, 0.0), (0.33, 0.66)])
# little of everything, so that characters come back; and anything at all
TEXTS = st.one_of(
    st.text(st.sampled_from("ab \n\r\0\ufeffe\u0301é漢🎭👩\u200d"), min_size=1, max_size=60),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.lists(st.integers(0x4E00, 0x5000), min_size=256, max_size=400, unique=True).map(
        lambda codes: "".join(map(chr, codes)) + "tail"
    ),
)


def by_torch_rnn(tokens: Any, val_frac: float, test_frac: float) -> dict[str, Any]:
    """torch-rnn's preprocessing: ids from 1 in order of first appearance, then the cuts."""
    ids: dict[Any, int] = {}
    for token in tokens:
        if token not in ids:
            ids[token] = len(ids) + 1
    every = [ids[token] for token in tokens]
    val, test = int(val_frac * len(every)), int(test_frac * len(every))
    train = len(every) - val - test
    return {
        "train": every[:train],
        "val": every[train : train + val],
        "test": every[train + val :],
        "tokens": list(ids),
        "dtype": "uint8" if len(ids) <= 255 else "uint32",
    }


def run(text: str | list[str], h5: str | None = "out.h5", **options: Any) -> Preprocessed:
    options = {"lines": "keep", **options}
    json, report, stdin = (options.pop(name, None) for name in ("json", "report", "stdin"))
    h5_path, split = Path(h5) if h5 else None, SplitOptions(**options)
    return preprocess(text, h5_path, json, split, report=report, stdin=stdin)


def contents(made: Preprocessed) -> dict[str, Any]:
    """What stands in the two files, as torch-rnn would read it."""
    table = json.loads(made.json.read_text())
    tokens = [table["idx_to_token"][str(i + 1)] for i in range(len(table["idx_to_token"]))]
    assert table["token_to_idx"] == {token: i for i, token in enumerate(tokens, 1)}
    with h5py.File(made.h5, "r") as file:
        assert sorted(file) == ["test", "train", "val"]
        found = {split: file[split][:].tolist() for split in file}
        for split in file.values():
            assert (split.ndim, split.chunks, split.compression) == (1, None, None)
            assert split.dtype.name == made.dtype
            assert len(split) == 0 or split.id.get_offset() % split.dtype.itemsize == 0
        return {**found, "tokens": tokens, "dtype": made.dtype}


def listing() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


class TestIds:
    @settings(max_examples=60)
    @given(text=TEXTS, fractions=FRACTIONS, piece=st.sampled_from([1, 3, 7, 1 << 15]))
    def test_are_those_of_torch_rnn(
        self, text: str, fractions: tuple[float, float], piece: int
    ) -> None:
        val_frac, test_frac = fractions
        # a mark that begins a file in UTF-8 is not part of its text
        stdin = io.BytesIO(text.encode("utf-8-sig" if text[0] == "\ufeff" else "utf-8"))
        with (
            tempfile.TemporaryDirectory() as folder,
            patch.object(sources, "_PIECE", piece),
            patch.object(preprocessing, "_BLOCK", piece),
        ):
            h5 = f"{folder}/x.h5"
            made = run("-", h5, val_frac=val_frac, test_frac=test_frac, stdin=stdin)
            assert contents(made) == by_torch_rnn(text, val_frac, test_frac)
            assert sum(made.sizes.values()) == len(text)
            assert made.sizes["val"] == int(val_frac * len(text))
            assert made.sizes["test"] == int(test_frac * len(text))
            assert Vocabulary.read_json(made.json) == made.vocabulary
            with h5py.File(h5, "r") as file:
                ids = np.concatenate([file[s][:] for s in ("train", "val", "test")])
            decoded = made.vocabulary.decode(ids.astype(np.int64) - FIRST_FILE_ID)
            assert decoded == text

    @settings(max_examples=30)
    @given(data=st.binary(min_size=1, max_size=600), piece=st.sampled_from([1, 7, 1 << 15]))
    def test_of_bytes_are_those_of_torch_rnn(self, data: bytes, piece: int) -> None:
        with tempfile.TemporaryDirectory() as folder, patch.object(sources, "_PIECE", piece):
            made = run("-", f"{folder}/x.h5", encoding="bytes", stdin=io.BytesIO(data))
            expected = by_torch_rnn(data, 0.1, 0.1)
            tokens = [chr(b) if b < 128 else f"[{b}]" for b in expected["tokens"]]
            assert contents(made) == {**expected, "tokens": tokens}
            assert made.vocabulary.is_bytes
            with h5py.File(made.h5, "r") as file:
                ids = np.concatenate([file[s][:] for s in ("train", "val", "test")])
            text = made.vocabulary.decode(ids.astype(np.int64) - FIRST_FILE_ID)
            assert text.encode("ascii", "surrogateescape") == data

    @pytest.mark.parametrize("count", [254, 255, 256, 257])
    def test_take_one_byte_up_to_255_characters(self, folder: Path, count: int) -> None:
        text = "".join(chr(0x4E00 + i) for i in range(count)) * 300
        Path("x.txt").write_text(text, encoding="utf-8")
        made = run("x.txt")
        assert made.dtype == ("uint8" if count <= 255 else "uint32")
        assert contents(made) == by_torch_rnn(text, 0.1, 0.1)

    def test_characters_of_every_plane(self, folder: Path) -> None:
        codes = [code for code in range(0, 0x110000, 17) if not 0xD800 <= code < 0xE000]
        text = "".join(map(chr, codes))
        Path("x.txt").write_bytes(text.encode())
        made = run("x.txt")
        assert made.vocabulary.characters == list(text)
        with h5py.File(made.h5, "r") as file:
            assert file["test"][-1] == len(codes)

    @pytest.mark.parametrize("text", ["a", "漢", "\n", "\0", "\u200d"])
    def test_one_character_is_enough(self, folder: Path, text: str) -> None:
        Path("x.txt").write_text(text, encoding="utf-8", newline="")
        assert contents(run("x.txt")) == by_torch_rnn(text, 0.1, 0.1)

    def test_of_tiny_shakespeare(self, folder: Path, tiny_shakespeare: Path) -> None:
        made = run(str(tiny_shakespeare))
        assert len(made.vocabulary) == 65
        assert made.sizes == {"train": 892316, "val": 111539, "test": 111539}
        assert made.dtype == "uint8"
        assert contents(made) == by_torch_rnn(tiny_shakespeare.read_text(), 0.1, 0.1)


class TestOutputs:
    @pytest.mark.parametrize(
        ("text", "h5"),
        [
            ("x.txt", "x.h5"),
            ("a.b/x.y.txt", "a.b/x.y.h5"),
            ("x.txt.gz", "x.h5"),
            ("x.bz2", "x.h5"),
            ("x.md.xz", "x.h5"),
            ("x", "x.h5"),
            ("[x].txt", "[x].h5"),
        ],
    )
    def test_stand_beside_the_text(self, folder: Path, text: str, h5: str) -> None:
        pack: dict[str, Callable[[bytes], bytes]]
        pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        Path(text).parent.mkdir(exist_ok=True)
        Path(text).write_bytes(pack.get(Path(text).suffix, bytes)(b"some text"))
        made = run(text, None)
        assert (made.h5, made.json) == (Path(h5), Path(h5).with_suffix(".json"))
        assert contents(made)["train"]

    @pytest.mark.parametrize("name", ["v1.2", "v1.2/", "./v1.2", "v1.2/."])
    def test_stand_beside_a_folder(self, folder: Path, name: str) -> None:
        Path("v1.2").mkdir()
        Path("v1.2/b.txt").write_text("b")
        Path("v1.2/a.txt").write_text("a")
        made = run(name, None)
        assert made.h5.samefile("v1.2.h5")
        assert contents(made)["tokens"] == ["a", "b"]

    @pytest.mark.parametrize("text", ["-", ["x.txt"], "*.txt"])
    def test_must_be_named_where_nothing_can_stand_beside(
        self, folder: Path, text: str | list[str]
    ) -> None:
        Path("x.txt").write_text("text")
        with pytest.raises(InputError, match="output_h5"):
            run(text, None, stdin=io.BytesIO(b"text"))
        assert contents(run(text, "y.h5", stdin=io.BytesIO(b"text")))["tokens"] == list("tex")
        assert Path("y.json").is_file()

    def test_never_overwrite_the_text_or_each_other(self, folder: Path) -> None:
        for name in ("x.h5", "x.json", "y.txt"):
            Path(name).write_text("text")
        Path("link").symlink_to("y.txt")
        before = listing()
        for text, h5, out, option in [
            ("x.h5", None, None, "output_h5"),
            ("x.json", None, None, "output_json"),
            ("y.txt", "./y.txt", None, "output_h5"),
            ("link", "y.txt", None, "output_h5"),
            ("y.txt", "link", None, "output_h5"),
            ("y.txt", "z.json", None, "output_json"),
            ("y.txt", "z.h5", Path("z.h5"), "output_json"),
            ("y.txt", "/dev/null", Path("z.json"), "output_h5"),
            ("y.txt", "z.h5", Path("."), "output_json"),
        ]:
            with pytest.raises(InputError, match=option):
                run(text, h5, json=out)
        assert listing() == before

    def test_replace_what_a_reader_has_open(self, folder: Path) -> None:
        Path("x.txt").write_text("first text")
        old = run("x.txt")
        offset = h5py.File(old.h5, "r")["train"].id.get_offset()
        with open(old.h5, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        before = mapped[offset : offset + 8]
        Path("x.txt").write_text("another text, longer")
        new = run("x.txt")
        assert mapped[offset : offset + 8] == before
        assert contents(new) == by_torch_rnn("another text, longer", 0.1, 0.1)

    def test_go_through_a_link_to_its_target(self, folder: Path) -> None:
        Path("x.txt").write_text("text")
        Path("far").mkdir()
        Path("x.h5").symlink_to("far/x.h5")
        made = run("x.txt", None)
        assert Path("x.h5").is_symlink()
        assert contents(made)["tokens"] == list("tex")

    def test_make_their_folder(self, folder: Path) -> None:
        Path("x.txt").write_text("text")
        made = run("x.txt", "new/below/x.h5")
        assert made.json == Path("new/below/x.json")
        assert made.json.is_file()


@pytest.mark.parametrize(
    ("content", "encoding", "remark"),
    [
        (b"one\ntwo", "utf-8", None),
        (b"one\r\ntwo", "utf-8", "line ends of Windows"),
        (b"one\r\ntwo\0", "bytes", None),
        ("one".encode("utf-16-le"), "utf-8", "encoding=utf-16-le"),
    ],
)
def test_characters_that_few_want_are_told(
    folder: Path, content: bytes, encoding: str, remark: str | None
) -> None:
    Path("x.txt").write_bytes(content)
    told = run("x.txt", encoding=encoding).remarks
    assert not told if remark is None else len(told) == 1 and remark in told[0]


def test_a_mark_of_the_encoding_is_no_text(folder: Path) -> None:
    Path("x.txt").write_bytes(b"\xef\xbb\xbfab\xef\xbb\xbf")
    assert contents(run("x.txt"))["tokens"] == ["a", "b", "\ufeff"]
    assert contents(run("x.txt", encoding="bytes"))["tokens"] == (
        ["[239]", "[187]", "[191]", "a", "b"]
    )
    assert read_text("x.txt", "utf-8") == "ab\ufeff"
    Path("x.txt").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(InputError, match="the text is empty"):
        run("x.txt")


class TestFailure:
    @pytest.mark.parametrize("name", ["a\0b", "a\0b.h5"])
    def test_a_nul_in_an_outputs_name(self, folder: Path, name: str) -> None:
        Path("x.txt").write_text("text")
        for option in ("output_h5", "output_json"):
            json_name = Path(name) if option == "output_json" else None
            with pytest.raises(InputError, match=f"{option}=.*holds a NUL"):
                run("x.txt", "y.h5" if json_name else name, json=json_name)

    @pytest.mark.parametrize("name", [".", "/"])
    def test_an_output_that_is_a_folder(self, folder: Path, name: str) -> None:
        Path("x.txt").write_text("text")
        with pytest.raises(InputError, match="output_h5="):
            run("x.txt", name)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"", "empty"), (b"fine so far " * 9000 + b"\xff", "not utf-8 at byte 108000")],
    )
    def test_leaves_everything_as_it_was(self, folder: Path, content: bytes, reason: str) -> None:
        Path("x.txt").write_text("the text of before")
        run("x.txt")
        Path("x.txt").write_bytes(content)
        before = listing()
        with pytest.raises(InputError, match=reason) as refused:
            run("x.txt")
        assert str(refused.value).startswith("x.txt: ")
        with pytest.raises(InputError, match=reason):
            run("x.txt", "new/out.h5")
        assert listing() == before
        assert not Path("new").exists()

    def test_to_write_names_the_output(self, folder: Path) -> None:
        Path("x.txt").write_text("text")
        for h5 in ("x.txt/out.h5", "x.txt/below/out.h5"):
            with pytest.raises(RunError, match=r"x\.txt.*cannot be written"):
                run("x.txt", h5)
        assert listing() == {"x.txt": b"text"}

    @pytest.mark.parametrize("limit", [0, 40_000, 100_500, 102_049, 102_500])
    def test_of_the_disk_keeps_the_old_files(self, folder: Path, limit: int) -> None:
        """At whatever point the space ends: in the spool, the JSON, the HDF5, its attributes."""
        Path("x.txt").write_text("the text of before")
        run("x.txt")
        Path("x.txt").write_text("0123456789" * 10_000)
        before = listing()
        program = (
            "import resource, sys; from tests.text.test_preprocessing import run;"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
            "run('x.txt')"
        )
        repository = Path(__file__).parents[2]
        result = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        last = result.stderr.strip().splitlines()[-1]
        assert last == "charrnn.errors.RunError: out.h5: cannot be written (File too large)"
        assert listing() == before


def test_the_file_names_the_vocabulary_that_belongs_to_it(folder: Path) -> None:
    Path("x.txt").write_text("some text, some more text")
    made = run("x.txt")
    with h5py.File(made.h5, "r") as file:
        assert file.attrs["vocabulary"] == hashlib.sha256(made.json.read_bytes()).hexdigest()


@pytest.mark.parametrize("piece", [1 << 15, 100, 7])
def test_the_ids_do_not_depend_on_how_the_text_came(folder: Path, piece: int) -> None:
    text = "".join(chr(0x4E00 + i % 300) for i in range(5000))
    Path("x.txt").write_text(text, encoding="utf-8")
    Path("y.txt.gz").write_bytes(gzip.compress(text.encode()))
    expected = [(i % 300) + 1 for i in range(5000)]
    for source in ("x.txt", "y.txt.gz"):
        with patch.object(sources, "_PIECE", piece), h5py.File(run(source).h5, "r") as file:
            assert np.concatenate([file[split] for split in SPLITS]).tolist() == expected


def test_a_long_list_of_files_is_no_problem(folder: Path) -> None:
    names = [f"a-rather-long-name-for-a-file-{i}.txt" for i in range(2000)]
    for name in names:
        Path(name).write_text("x")
    assert run(names).sizes["train"] == 1600


def test_memory_does_not_grow_with_the_text(folder: Path) -> None:
    line = "Ὦ ξεῖν', ἀγγέλλειν Λακεδαιμονίοις ὅτι τῇδε κείμεθα, 漢字 🎭\n"
    Path("x.txt").write_text(line * 100_000, encoding="utf-8")
    size = Path("x.txt").stat().st_size
    assert size > 10_000_000
    tracemalloc.start()
    run("x.txt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.7 * size


def test_progress_is_told_for_both_passes(folder: Path) -> None:
    Path("x.txt").write_text("0123456789" * 20_000)
    told: list[tuple[int, int | None]] = []
    run("x.txt", report=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {200_000}
    assert told.count((200_000, 200_000)) == 2
    run("-", stdin=io.BytesIO(b"x"), report=lambda done, total: told.append((done, total)))
    assert told[-2:] == [(1, None), (1, 1)]


def test_reading_a_whole_text(folder: Path) -> None:
    Path("x.txt").write_bytes("Zoë\r\n".encode())
    assert read_text("x.txt", "utf-8") == "Zoë\r\n"
    assert read_text("x.txt", "bytes") == "Zo\udcc3\udcab\r\n"
    Path("y.txt").write_text("")
    with pytest.raises(InputError, match=r"y\.txt: the text is empty"):
        read_text("y.txt", "utf-8")
