"""The server as a command and a process: its models, its limits, how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import MODEL, OTHER, add_run, serving
from tests.tools import refusal_of

ASKED: dict[str, Any] = {"prompt": "A", "max_tokens": 300, "seed": 1}
TEXT = MODEL.generate(300, "A", seed=1, temperature=1)


def test_a_taken_port_and_a_missing_package_are_told(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main = f"checkpoint={runs}/main"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"port={taken.getsockname()[1]}"
        assert "; another port may be free: port=8081" in refusal_of(capfd, "serve", main, port)
    monkeypatch.delitem(sys.modules, "charrnn.extras.serve.app", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install -e '.[serve]'" in refusal_of(capfd, "serve", main)


@pytest.mark.usefixtures("runs")  # which says what is not installed
def test_the_runs_of_a_folder_have_names_and_no_link_is_followed(workplace: Path) -> None:
    with serving("train=false") as server, server.client() as http:
        assert "serving a page that learns a text at" in server.lines[0]
        assert http.get("/v1/trainings").status_code == 404
        assert http.get("/").headers["content-security-policy"] == "frame-ancestors 'none'"
        refused = http.post("/v1/completions", json=ASKED)
        assert (refused.status_code, "no model yet" in refused.text) == (404, True)
        outputs = workplace / "outputs"
        add_run(outputs / "train/2026-01-01/10-00", 1, text="bard.txt")
        new = add_run(outputs / "sweeps/1/lr=1", 2, OTHER, "bard.txt")
        broken = add_run(outputs / "a b", 3) / "model.safetensors"
        broken.write_bytes(b"no model")
        elsewhere = add_run(workplace / "elsewhere", 4)
        (outputs / "linked").symlink_to(elsewhere)
        linked = add_run(outputs / "file", 5) / "model.safetensors"
        linked.unlink()
        linked.symlink_to("/etc/passwd")
        models = http.get("/v1/models").json()["data"]
        old = "bard (outputs/train/2026-01-01/10-00)"
        assert [model["id"] for model in models] == ["a b", "bard", old]
        assert models[0]["file"] == "models/a%20b"
        for name, model in (("bard", OTHER), (old, MODEL)):
            written = http.post("/v1/completions", json={**ASKED, "model": name}).json()
            expected = model.generate(300, "A", seed=1, temperature=1)
            assert (written["choices"][0]["text"], written["model"]) == (expected, name)
        refused = http.post("/v1/completions", json=ASKED)
        assert (refused.status_code, "a b/model.safetensors" in refused.text) == (400, True)
        packed = http.get(f"/{models[1]['file']}")
        assert packed.headers["content-type"] == "application/octet-stream"
        shutil.rmtree(new)
        assert http.get(f"/{models[1]['file']}").content != packed.content
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines


def test_errors_have_one_shape_and_bodies_a_limit(http: Any) -> None:
    wrong: list[tuple[str, str, bytes, int, str]] = [
        ("GET", "/nothing", b"", 404, "Not Found"),
        ("PUT", "/v1/models", b"", 405, ""),
        ("GET", "/models/none", b"", 404, "there are main, other, bytes"),
        ("GET", "/models/../../etc/passwd", b"", 404, ""), ("POST", "/v1/trainings", b"", 400, ""),
        ("POST", "/v1/completions", b'{"prompt":', 400, "JSON"),
        ("POST", "/v1/completions", b'{"model": "mian"}', 404, "did you mean main?"),
        ("POST", "/v1/completions", b'{"temprature": 1}', 400, "did you mean temperature?"),
        ("POST", "/v1/completions", b'{"temperature": -1}', 400, "must be at least 0"),
        ("POST", "/v1/completions", b'{"stop": ["a", ""]}', 400, "stop.1: "),
        ("POST", "/v1/completions", b"x" * 1_000_001, 413, "1,000,000 bytes"),
    ]  # fmt: skip
    for method, path, body, status, words in wrong:
        headers = {"content-type": "application/json"}
        answer = http.request(method, path, content=body, headers=headers)
        error = answer.json()["error"]
        assert (answer.status_code, {*error}) == (status, {"message", "type"})
        assert words in error["message"]
    chunked = http.post("/v1/completions", content=iter([b"x" * 2_000_000]))
    assert "Content-Length" in chunked.json()["error"]["message"]


def test_requests_beside_each_other_get_their_texts_and_the_short_end_first(http: Any) -> None:
    with ThreadPoolExecutor() as threads:
        long = {"prompt": "A " * 20_000, "max_tokens": 10_000, "n": 4}
        asked = threads.submit(http.post, "/v1/completions", json=long)
        answers = threads.map(lambda _: http.post("/v1/completions", json=ASKED), range(8))
        assert [answer.json()["choices"][0]["text"] for answer in answers] == [TEXT] * 8
        assert not asked.done()
        assert len(asked.result().json()["choices"][3]["text"]) == 10_000


def test_a_signal_lets_open_requests_end(runs: Path) -> None:
    asked = {**ASKED, "max_tokens": 10_000}
    with serving(f"{runs}/main") as server, server.client() as http:
        with http.stream(
            "POST", "/v1/completions", json={**asked, "n": 16, "stream": True}
        ) as left:
            next(left.iter_lines())  # and the client leaves
        whole = json.dumps({**asked, "n": 16}).encode()
        with socket.create_connection(("127.0.0.1", http.base_url.port)) as connection:
            head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(whole)
            connection.sendall(head + whole)  # and the client leaves
        with http.stream("POST", "/v1/completions", json={**asked, "stream": True}) as answer:
            lines = answer.iter_lines()
            events = [next(lines)]
            server.process.send_signal(signal.SIGINT)
            events += [line for line in lines if line]
        assert events.pop() == "data: [DONE]"
        choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
        assert len("".join(choice["text"] for choice in choices)) == 10_000
        assert server.wait() == 0
        assert len(server.lines) == 1, server.lines
