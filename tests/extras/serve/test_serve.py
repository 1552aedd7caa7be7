"""charrnn serve, as far as its command line goes; test_server.py asks the server itself."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from charrnn.__main__ import main


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    code = main(["serve", *words])
    out, err = capfd.readouterr()
    assert (code in (1, 2), out) == (True, "")
    assert err.startswith("charrnn serve: ")
    assert err.count("\n") == 1
    return err.removeprefix("charrnn serve: ")


def test_a_models_path_is_taken_literally(capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(capfd, "models.bard=what's, (this)=?").startswith("what's, (this)=?: no such")


def test_what_cannot_be_served_is_told_in_one_line(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for words, what in {
        ("checkpoint=/no/such",): "/no/such: no such file",
        (f"models.a={path}", "models.b=/no/such"): "/no/such: no such file",
        (f"checkpoint={path}", "models.b=x"): "checkpoint: give either checkpoint=",
        ("models.a=",): "models={'a': ''}: takes a path",
        ("models.llama-3.2=x",): "models={",
        ("models=5",): "models=5: ",
        ("port=65536",): "port=65536: must be between 0 and 65535",
        ("token=",): "token=: must not be empty",
        ("cors=example.org",): "cors=['example.org']: takes origins with their scheme",
        ("cors=[https://example.org/]",): "cors=['https://example.org/']: takes origins",
        ("max_seconds=0",): "max_seconds=0.0: must be above 0",
        ("device=cuda", "engine=numpy"): "device=cuda: engine=numpy and precision=8 compute",
        ("prot=80",): "prot=80: no such option; did you mean port?",
    }.items():
        assert refused(capfd, *words).startswith(what)
    pytest.importorskip("fastapi_offline")
    assert refused(capfd, f"checkpoint={path}", "corpus=none.txt").startswith("none.txt: no such")
    assert refused(capfd, f"checkpoint={path}", "host=no.such.host.invalid").startswith("host=no")
    for host in ("1.2.3.4", "[::1]", "127.0.0.1:80", "a" * 70, "a\0b", "\udcff"):
        assert refused(capfd, f"checkpoint={path}", f"host={host}").startswith("host=")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(capfd, f"checkpoint={path}", f"port={port}")
        assert f" port={port}: Address already in use; another server" in line


def test_what_is_not_installed_is_named(
    path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastapi_offline", None)
    monkeypatch.delitem(sys.modules, "charrnn.extras.serve.app", raising=False)
    line = refused(capfd, f"checkpoint={path}")
    assert "pip install " in line
    assert "'fastapi-offline" in line
