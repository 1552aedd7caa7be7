"""Finding, opening and decoding the files of a text."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.errors import InputError
from charrnn.text import sources
from charrnn.text.sources import STDIN, Text, content_digest, find_files, stat_digest

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
ENCODINGS = ["utf-8", "utf-16", "utf-32-be", "utf-8-sig", "gb18030", "utf-7"]


def read(*files: Path, encoding: str = "utf-8") -> str:
    return "".join(Text(files, encoding).pieces())


def refusal(*files: Path, encoding: str = "utf-8") -> str:
    with pytest.raises(InputError) as refused:
        read(*files, encoding=encoding)
    assert "\n" not in str(refused.value)
    return str(refused.value)


class TestFinding:
    def test_a_file_a_list_and_standard_input(self, folder: Path) -> None:
        for name in ("b.txt", "a.txt"):
            Path(name).write_text(name)
        assert find_files("b.txt") == [Path("b.txt")]
        assert find_files(["b.txt", "a.txt", "b.txt"]) == [
            Path("b.txt"),
            Path("a.txt"),
            Path("b.txt"),
        ]
        assert find_files("-") == [STDIN]

    def test_a_file_of_the_name_dash_is_no_standard_input(self, folder: Path) -> None:
        Path("-").write_text("dash")
        (found,) = find_files("./-")
        assert found is not STDIN
        assert read(found) == "dash"

    def test_a_folders_texts_are_sorted_and_all_below_it(self, folder: Path) -> None:
        names = ["t/b.txt", "t/a/z.txt", "t/a-b/y.txt", "t/c.TXT", "t/d.md", "t/.e.txt"]
        for name in [*names, "t/.git/f.txt", "t/a/g.txt"]:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(name)
        expected = ["t/a/g.txt", "t/a/z.txt", "t/a-b/y.txt", "t/b.txt"]
        assert find_files("t") == [Path(name) for name in expected]

    def test_a_pipe_in_a_folder_is_not_waited_for(self, folder: Path) -> None:
        Path("all").mkdir()
        Path("all/a.txt").write_text("a")
        os.mkfifo("all/pipe.txt")
        assert find_files("all") == [Path("all/a.txt")]

    def test_a_glob_is_sorted_and_reaches_down(self, folder: Path) -> None:
        for name in ("x/2.md", "x/y/1.md", "x/10.md"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(name)
        assert find_files("x/*.md") == [Path("x/10.md"), Path("x/2.md")]
        assert find_files("**/1.md") == [Path("x/y/1.md")]
        assert find_files(["x/?.md", "x/y/1.md"]) == [Path("x/2.md"), Path("x/y/1.md")]

    def test_what_exists_is_no_glob(self, folder: Path) -> None:
        for name in ("[a].txt", "a.txt"):
            Path(name).write_text(name)
        assert find_files("[a].txt") == [Path("[a].txt")]

    def test_refusals_name_what_is_wrong(self, folder: Path) -> None:
        Path("empty").mkdir()
        Path("file").write_text("")
        Path("link").symlink_to("nowhere")
        for name, reason in {
            "missing.txt": "no such file or folder",
            "file/below.txt": "no such file or folder",
            "*.md": "matches it as a glob",
            "empty": r"without a \*.txt file",
            "link": "a link to a file that does not exist",
            "a\0b": "cannot be read",
        }.items():
            with pytest.raises(InputError, match=reason) as refused:
                find_files(name)
            assert str(refused.value).startswith(f"{name}: ")
        with pytest.raises(InputError, match="cannot be one of a list"):
            find_files(["file", "-"])


class TestDecoding:
    @given(
        text=st.text(st.characters(exclude_categories=["Cs"])),
        piece=st.integers(1, 7),
        encoding=st.sampled_from(ENCODINGS),
    )
    def test_pieces_may_end_within_a_character(self, text: str, piece: int, encoding: str) -> None:
        # a mark that begins a file in UTF-8 is not part of its text
        stdin = io.BytesIO(text.encode("utf-8-sig" if encoding == "utf-8" else encoding))
        with patch.object(sources, "_PIECE", piece):
            assert "".join(Text([STDIN], encoding, stdin).pieces()) == text

    @given(st.binary(max_size=50), st.integers(1, 7))
    def test_bytes_are_taken_one_by_one(self, data: bytes, piece: int) -> None:
        with patch.object(sources, "_PIECE", piece):
            text = "".join(Text([STDIN], "bytes", io.BytesIO(data)).pieces())
        assert text.encode("latin-1") == data

    @given(
        before=st.text(st.characters(exclude_categories=["Cs"])),
        piece=st.integers(1, 7),
        encoding=st.sampled_from(["utf-8", "gb18030", "shift_jis", "ascii"]),
    )
    def test_the_offset_of_a_bad_byte_is_absolute(
        self, before: str, piece: int, encoding: str
    ) -> None:
        start = before.encode(encoding, "ignore")
        text = Text([STDIN], encoding, io.BytesIO(start + b"\xff\xff\xffmore"))
        with patch.object(sources, "_PIECE", piece), pytest.raises(InputError) as refused:
            list(text.pieces())
        line = str(refused.value)
        assert line.startswith(f"standard input: not {encoding} at byte {len(start)} (0xff)")
        assert "encoding=bytes" in line
        assert "latin-1" in line

    def test_a_character_cut_off_at_the_end_of_a_file(self, folder: Path) -> None:
        Path("a.txt").write_bytes("aé".encode()[:-1])
        Path("b.txt").write_bytes("é".encode())
        assert "a.txt: not utf-8 at byte 1 (0xc3)" in refusal(Path("a.txt"), Path("b.txt"))

    def test_an_encoding_without_offsets(self, folder: Path) -> None:
        Path("a.txt").write_bytes(b"xn--\xff")
        assert "a.txt: not idna" in refusal(Path("a.txt"), encoding="idna")

    def test_files_are_joined_as_they_are(self, folder: Path) -> None:
        Path("a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
        Path("b.txt").write_bytes(b"\xef\xbb\xbf\rthree\x00\n")
        assert read(Path("a.txt"), Path("b.txt")) == "one\r\ntwo\rthree\0\n"
        # each has its own mark in an encoding that drops it
        assert read(Path("a.txt"), Path("b.txt"), encoding="utf-8-sig") == "one\r\ntwo\rthree\0\n"


def office_document() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", os.urandom(1000))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("text".encode("utf-16"), "is UTF-16; give encoding=utf-16"),
        (codecs.BOM_UTF16_BE + "text".encode("utf-16-be"), "is UTF-16; give encoding=utf-16"),
        ("text".encode("utf-32"), "is UTF-32; give encoding=utf-32"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF; save its text"),
        (office_document(), "is a zip archive, as .docx"),
        (gzip.compress(b"text", mtime=0), "is packed by gzip; let its name end in .gz"),
        (lzma.compress(b"text"), "is packed by xz; let its name end in .xz"),
        (b"\x89HDF\r\n\x1a\n", "is HDF5"),
    ],
)
def test_files_of_other_kinds_are_named(folder: Path, content: bytes, what: str) -> None:
    Path("a.txt").write_bytes(content)
    line = refusal(Path("a.txt"))
    assert line.startswith(f"a.txt: {what}")
    assert "latin-1" not in line


def test_a_text_in_utf_16_that_is_damaged_is_not_told_what_it_is(folder: Path) -> None:
    Path("a.txt").write_bytes("text".encode("utf-16") + b"\0")
    assert "not utf-16" in refusal(Path("a.txt"), encoding="utf-16")


def test_a_very_long_name_is_cut() -> None:
    with pytest.raises(InputError) as refused:
        find_files("x" * 100_000)
    assert len(str(refused.value)) < 500


class TestPacked:
    @pytest.mark.parametrize("suffix", PACK)
    def test_is_opened(self, folder: Path, suffix: str) -> None:
        path = Path(f"a.txt{suffix}")
        path.write_bytes(PACK[suffix]("Zoë ".encode() * 50_000) + PACK[suffix](b"end"))
        text = Text([path], "utf-8")
        assert "".join(text.pieces()) == "Zoë " * 50_000 + "end"
        assert text.done == text.size == path.stat().st_size
        assert text.digest() == content_digest([path])

    @pytest.mark.parametrize("suffix", PACK)
    @pytest.mark.parametrize("damage", ["truncated", "flipped", "another format"])
    def test_damage_is_told(self, folder: Path, suffix: str, damage: str) -> None:
        whole = bytearray(PACK[suffix](os.urandom(100_000)))
        if damage == "truncated":
            whole = whole[:-20]
        elif damage == "flipped":
            whole[len(whole) // 2] ^= 0xFF
        else:
            whole = bytearray(b"plain text")
        path = Path(f"a{suffix}")
        path.write_bytes(whole)
        assert refusal(path, encoding="bytes").startswith(f"a{suffix}: damaged, or no {suffix}")

    def test_what_follows_the_end_counts_as_content(self, folder: Path) -> None:
        Path("a.bz2").write_bytes(bz2.compress(b"text") + b"trailing" * 10_000)
        text = Text([Path("a.bz2")], "utf-8")
        assert "".join(text.pieces()) == "text"
        assert text.digest() == content_digest([Path("a.bz2")])


class TestIdentity:
    def test_content_is_told_apart_whatever_the_names(self, folder: Path) -> None:
        for name, content in {"a": "x", "b": "yz", "c": "xy", "d": "z", "e": "x"}.items():
            Path(name).write_text(content)
        paths = [Path(name) for name in "abcde"]
        a, b, c, d, e = paths
        assert content_digest([a]) == content_digest([e])
        assert content_digest([a, b]) != content_digest([c, d])
        text = Text(paths, "utf-8")
        list(text.pieces())
        assert text.digest() == content_digest(paths)

    def test_state_changes_with_size_time_and_names(self, folder: Path) -> None:
        Path("a").write_text("x")
        state, latest = stat_digest([Path("a")])
        assert latest >= Path("a").stat().st_mtime_ns
        assert stat_digest([Path("a")]) == (state, latest)
        os.utime("a", ns=(1, 1))
        assert stat_digest([Path("a")])[0] != state
        Path("a").rename("b")
        assert stat_digest([Path("b")])[0] != state
