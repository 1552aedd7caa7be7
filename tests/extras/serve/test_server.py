"""The server as a process: its routes, its limits, how it begins and ends."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import charrnn
from tests.extras.serve.servers import MODEL, Server, serving

if TYPE_CHECKING:
    import httpx


@pytest.fixture(scope="module")
def http(server: Server) -> Any:
    import httpx

    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_torch_rnn_servers_route(http: httpx.Client) -> None:
    answer = http.get("/generate?start_text=It%20was%20a%20dark&n=3&seed=4").json()
    texts = MODEL.generate(200, "It was a dark", num_samples=3, seed=4, engine="numpy")
    ends = [min((i for i, c in enumerate(t) if c in ".!?"), default=199) + 1 for t in texts]
    assert answer["completions"] == [t[:end] for t, end in zip(texts, ends, strict=True)]
    assert answer["time"] >= 0
    assert len(http.get("/generate", params={"length": 5, "model": "bytes"}).json()) == 3
    for wrong in ("n=0", "n=x", "length=10001", "model=no", "temperature=nan"):
        assert http.get(f"/generate?{wrong}").status_code in (400, 404)


def test_what_a_machine_looks_after_it_with(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}
    schema = http.get("/openapi.json").json()
    assert {"/v1/completions", "/v1/models", "/generate", "/health"} <= set(schema["paths"])
    docs = http.get("/docs")
    assert docs.status_code == 200
    assert "https://" not in docs.text  # it works without any outside address


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/v1/models", 405), ("GET", "/v1/completions", 405),
     ("GET", "/v1/models/none", 404)],
)  # fmt: skip
def test_every_error_has_the_same_shape(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_path_that_is_not_there_is_told_with_the_way_to_those_that_are(
    http: httpx.Client,
) -> None:
    message = http.post("/v1/chat/completions", json={}).json()["error"]["message"]
    assert message == (
        "/v1/chat/completions: these models go on with a text and know no chat; POST "
        "/v1/completions with a prompt"
    )


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_a_server_in_whole_numbers(models: Path, engine: str) -> None:
    import httpx

    if engine == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    options = (f"checkpoint={models}/main.safetensors", "precision=8", f"engine={engine}")
    with serving(*options) as running:
        asked = {"prompt": "To be, or", "seed": 3, "n": 2, "max_tokens": 200}
        answer = httpx.post(f"{running.url}/v1/completions", json=asked, timeout=60).json()
        texts = [choice["text"] for choice in answer["choices"]]
        how = {"seed": 3, "temperature": 1.0, "num_samples": 2, "precision": 8}
        assert texts == MODEL.generate(200, "To be, or", **how)
        assert running.stop() == 0


def test_odd_texts(http: httpx.Client) -> None:
    for prompt in ("😀", "\u202eabc", "a\x00b", "“quoted” — and é"):
        answer = http.post("/v1/completions", json={"prompt": prompt, "echo": True, "seed": 1})
        (choice,) = answer.json()["choices"]
        expected = MODEL.generate(16, prompt, seed=1, temperature=1, unknown="replace")
        assert choice["text"] == prompt + expected
    for body in (r'{"prompt": "\ud800"}', r'{"model": "\udfff"}', '{"seed": 1e999}', "[" * 100_000):
        answer = http.post(
            "/v1/completions", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (200, 400, 404)
    long = http.post("/v1/completions", json={"prompt": "ab " * 33_333, "max_tokens": 3, "seed": 1})
    assert long.json()["usage"]["prompt_tokens"] == 99_999
    too_long = http.post("/v1/completions", json={"prompt": "ab " * 33_334})
    assert too_long.status_code == 400
    assert http.post("/v1/completions", content=b"x" * 2_000_001).status_code == 413


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_is_dropped_frees_its_place(models: Path, stream: bool) -> None:
    import httpx

    options = [f"checkpoint={models}/main.safetensors", "max_length=1000000000", "max_queue=1"]
    with serving(*options) as server, httpx.Client(base_url=server.url, timeout=30) as http:
        endless = request_of({"max_tokens": 1_000_000_000, "n": 64, "stream": stream})
        with socket.create_connection((http.base_url.host, http.base_url.port or 0)) as connection:
            connection.sendall(endless)
            assert http.get("/health").status_code == 200
        until(lambda: http.post("/v1/completions", json={"n": 64}).status_code == 200)


def test_requests_of_many_clients_at_once(http: httpx.Client) -> None:
    import httpx

    found: dict[int, str] = {}

    def length(seed: int) -> int:
        return 10_000 if seed < 3 else 20 * seed

    def ask(seed: int) -> None:
        with httpx.Client(base_url=http.base_url, timeout=30) as client:
            asked = {"prompt": "Hm: ", "max_tokens": length(seed), "seed": seed}
            answer = client.post("/v1/completions", json=asked)
            found[seed] = answer.json()["choices"][0]["text"]

    threads = [threading.Thread(target=ask, args=[seed]) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, text in found.items():
        assert text == MODEL.generate(length(seed), "Hm: ", seed=seed, temperature=1)


def test_a_body_that_is_no_json_is_told_so(http: httpx.Client) -> None:
    answer = http.post("/v1/completions", data={"prompt": "A"})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ('{"prompt":', None, "body: JSON decode error"),
        ('{"prompt": [1, 2]}', "prompt", "prompt: takes a text, or a list of texts"),
        ('{"prompt": null}', "prompt", "prompt: takes a text, or a list of texts"),
        ('{"stop": ""}', "stop", "stop: String should have at least 1 character"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_sent(
    http: httpx.Client, body: str, param: str | None, message: str
) -> None:
    answer = http.post(
        "/v1/completions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["message"]) == (param, message)


def test_the_page_is_there_and_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    if not (Path(charrnn.__file__).parent / "extras" / "page" / "site" / "index.html").is_file():
        pytest.skip("there is no page in this checkout")
    page = http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_without_a_training_text_copies_cannot_be_told(http: httpx.Client) -> None:
    answer = http.post("/v1/copied", json={"text": ""})
    assert answer.status_code == 404
    assert "training" in answer.json()["error"]["message"] or "trained" in answer.text


def test_what_unknown_characters_are_read_as(http: httpx.Client) -> None:
    answer = http.post("/v1/read_as", json={"text": "Café, €"})
    assert answer.json() == {"read_as": {"é": "e", "€": ""}}
    assert http.post("/v1/read_as", json={"text": "é", "model": "no"}).status_code == 404


# Servers of their own


def test_what_is_copied_is_told_in_characters(models: Path, tmp_path: Path) -> None:
    import httpx

    pytest.importorskip("pydivsufsort")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("It was a dark and stormy night; the rain fell in torrents. Café 😀 au lait!")
    options = [f"corpus={corpus}", f"models.bytes={models}/bytes.safetensors"]
    with (
        serving(f"models.main={models}/main.safetensors", *options) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        for model in ("main", "bytes"):
            text = "😀é It was a dark and then the rain fell; Café 😀 au lait?"
            asked = {"text": text, "min_length": 8, "model": model}
            ranges = http.post("/v1/copied", json=asked).json()["ranges"]
            found = [text[start:end] for start, end in ranges]
            assert found[0].strip() == "It was a dark and"
            assert "Café 😀 au lait" in found[-1]
            assert "then" not in "".join(found)
        assert http.post("/v1/copied", json={"text": ""}).json() == {"ranges": []}
        assert http.post("/v1/copied", json={"text": "x" * 100_001}).status_code == 400


def request_of(body: object) -> bytes:
    """The bytes of a request for a completion."""
    data = json.dumps(body).encode()
    head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def test_a_full_queue_and_too_many_connections(models: Path) -> None:
    import httpx

    options = ["streams=2", "max_queue=1", "max_length=1000000000", "max_connections=6"]
    with (
        serving(f"checkpoint={models}/main.safetensors", *options) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        assert [card["id"] for card in http.get("/v1/models").json()["data"]] == ["main"]
        address = http.base_url.host, http.base_url.port
        endless = {"max_tokens": 1_000_000_000, "stream": True}
        with ExitStack() as opened:

            def begin() -> socket.socket:
                connection = opened.enter_context(socket.create_connection(address, timeout=30))
                connection.sendall(request_of(endless))
                assert connection.recv(12) == b"HTTP/1.1 200"
                return connection

            for _ in range(3):
                begin()
            full = http.post("/v1/completions", json=endless)
            assert full.status_code == 429
            assert full.headers["retry-after"]
        until(lambda: http.post("/v1/completions", json={"n": 2}).status_code == 200)
    options = ["streams=6", "max_length=1000000000", "max_connections=6"]
    with (
        serving(f"checkpoint={models}/main.safetensors", *options) as server,
        ExitStack() as opened,
    ):
        address = http.base_url.host, int(server.url.rpartition(":")[2])
        taken = []
        for _ in range(6):
            # one after the other: of those without a whole request only half may stand open
            taken.append(opened.enter_context(socket.create_connection(address, 30)))
            taken[-1].sendall(request_of(endless))
            assert taken[-1].recv(12) == b"HTTP/1.1 200"
        assert httpx.get(f"{server.url}/health").status_code == 503
        taken[0].close()
        until(lambda: httpx.get(f"{server.url}/health").status_code == 200)


def test_limits_are_kept_with_the_right_codes(models: Path) -> None:
    import httpx

    with (
        serving(
            f"checkpoint={models}/main.safetensors", "max_seconds=0.5", "max_length=1000000000",
            "max_body=1000", "unknown=error",
        ) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):  # fmt: skip
        unknown = http.post("/v1/completions", json={"prompt": "é"})
        assert unknown.status_code == 400
        assert unknown.json()["error"]["param"] == "prompt"
        endless = {"max_tokens": 1_000_000_000}
        late = http.post("/v1/completions", json=endless)
        assert late.status_code == 503
        assert late.json()["error"]["code"] == "timeout"
        with http.stream("POST", "/v1/completions", json={**endless, "stream": True}) as streamed:
            events = [line for line in streamed.iter_lines() if line]
        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "timeout"
        address = http.base_url.host, http.base_url.port
        head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
        with socket.create_connection(address) as slow:
            slow.sendall(head + b"content-length: 10\r\n\r\n{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        with socket.create_connection(address) as large:
            large.sendall(head + b"content-length: 999999999999\r\n\r\n{")
            assert large.recv(100).startswith(b"HTTP/1.1 413")


def test_a_token_and_other_origins(models: Path) -> None:
    import httpx

    checkpoint = f"checkpoint={models}/main.safetensors"
    with (
        serving(
            checkpoint, "cors=[https://example.org]", environment={"CHARRNN_TOKEN": "sésame"}
        ) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        for headers in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": "Basic sésame".encode()},
        ):
            for path in ("/v1/models", "/generate"):
                answer = http.get(path, headers=headers)  # type: ignore[arg-type]
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
        good = {"Authorization": "Bearer sésame".encode()}
        assert http.get("/v1/models", headers=good).status_code == 200
        assert http.get("/health").status_code == 200
        asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
        allowed = http.options("/v1/completions", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        asked["Origin"] = "https://example.com"
        assert (
            "access-control-allow-origin"
            not in http.options("/v1/completions", headers=asked).headers
        )


def test_no_other_origin_by_default(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"Origin": "https://example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_sigterm_lets_what_is_under_way_end(models: Path) -> None:
    import httpx

    with serving(f"checkpoint={models}/main.safetensors", "max_length=1000000") as server:
        asked = {"prompt": "A", "max_tokens": 20_000, "seed": 1}
        whole: list[httpx.Response] = []

        def ask() -> None:
            whole.append(httpx.post(f"{server.url}/v1/completions", json=asked, timeout=60))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.5)  # until it has come
        with httpx.stream(
            "POST", f"{server.url}/v1/completions", json={**asked, "stream": True}, timeout=60
        ) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            assert server.stop() == 0
            text = "\n".join([first, *lines])
        asking.join()
        assert text.endswith("data: [DONE]\n")
        assert len(whole[0].json()["choices"][0]["text"]) == 20_000
        assert len(server.lines) == 1, server.lines


def test_it_ends_although_one_is_not_done(models: Path) -> None:
    import httpx

    options = ["max_length=1000000000", "drain_seconds=0"]
    with serving(f"checkpoint={models}/main.safetensors", *options) as server:
        asked = {"max_tokens": 1_000_000_000, "stream": True}
        with (
            httpx.stream("POST", f"{server.url}/v1/completions", json=asked, timeout=60) as answer,
            pytest.raises(httpx.HTTPError),
        ):
            lines = answer.iter_lines()
            next(lines)
            assert server.stop(signal.SIGHUP) == 0  # the terminal was closed
            list(lines)


def test_ctrl_c_ends_it_as_any_command(models: Path) -> None:
    with serving(f"checkpoint={models}/main.safetensors") as server:
        assert server.stop(signal.SIGINT) == 130
        assert server.lines[1:] == ["charrnn serve: interrupted\n"]
