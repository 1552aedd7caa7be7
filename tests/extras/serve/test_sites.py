"""Which pages and clients may ask, and under which names the server answers."""

from __future__ import annotations

import ipaddress
import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from charrnn.extras.serve.addresses import find_network_address
from tests.extras.serve.servers import serving_main
from tests.waiting import until

ELSEWHERE = ["https://evil.example", "null", "http://localhost:3000"]
ROUTES = {
    "/v1/completions": {"prompt": "A", "max_tokens": 1},
    "/v1/copied": {"text": "A"},
    "/v1/read_as": {"text": "A"},
    "/v1/next_words": {"prompt": "A"},
}
ADMITTED = "access-control-allow-origin"  # the site whose page may read an answer
ASKED = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
}


def test_the_server_answers_only_under_its_names(http: Any) -> None:
    port = http.base_url.port
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", f"127.0.0.1:{port}", "[::1]:1"):
        assert http.get("/health", headers={"Host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.x",
                 "10.0.0.1", "[::2]", "[", "x@evil.example"):  # fmt: skip
        for path in ("/", "/v1/models"):
            answer = http.get(path, headers={"Host": host})
            assert answer.status_code == 400
            assert "Host: " in answer.json()["error"]["message"]
        for path, body in ROUTES.items():
            assert http.post(path, json=body, headers={"Host": host}).status_code == 400


def test_requests_that_need_no_preflight_are_refused(http: Any) -> None:
    for path, body in ROUTES.items():
        for kind in ("text/plain", "text/plain; application/json", "multipart/form-data", None):
            headers = {} if kind is None else {"Content-Type": kind}
            answer = http.post(path, content=json.dumps(body).encode(), headers=headers)
            assert answer.status_code == 400
            assert "Content-Type: application/json" in answer.json()["error"]["message"]
        for origin in ELSEWHERE:  # JSON it may not send: a browser asks first
            answer = http.options(path, headers={"Origin": origin, **ASKED})
            assert (answer.status_code, answer.headers.get(ADMITTED)) == (405, None)
            answer = http.get("/v1/models", headers={"Origin": origin})
            assert answer.headers.get(ADMITTED) is None


def test_cors_admits_pages_and_names_and_a_token_is_asked_for(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = ["https://write.example.org", "app://obsidian.md"]
    token = {"Authorization": "Bearer sésame".encode()}
    monkeypatch.setenv("CHARRNN_TOKEN", "sésame")
    with serving_main(models, f"cors=[{','.join(origins)}]") as (_, http):
        for origin in [*origins, *ELSEWHERE]:
            expected = origin if origin in origins else None
            asked = http.options("/v1/completions", headers={"Origin": origin, **ASKED})
            assert (asked.status_code == 200) == (origin in origins)
            assert asked.headers.get(ADMITTED) == expected
            answer = http.get("/v1/models", headers={"Origin": origin, **token})
            assert (answer.status_code, answer.headers.get(ADMITTED)) == (200, expected)
        # behind a proxy that hands the name on
        assert http.get("/health", headers={"Host": "write.example.org"}).status_code == 200
        assert http.get("/health", headers={"Host": "obsidian.md"}).status_code == 400
        wrong: Any
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": b"Basic s\xc3\xa9same"}):
            for answer in (
                http.get("/v1/models", headers=wrong),
                http.post("/v1/completions", json={}, headers=wrong),
            ):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"


def test_cors_of_all_admits_all_until_ctrl_c(models: Path) -> None:
    with serving_main(models, "cors=['*']") as (server, http):
        for origin in ELSEWHERE:
            headers = {"Host": "any.example", "Origin": origin}
            answer = http.post("/v1/completions", json=ROUTES["/v1/completions"], headers=headers)
            assert (answer.status_code, answer.headers.get(ADMITTED)) == (200, "*")
        assert server.stop(signal.SIGINT) == 130
        assert server.lines[1:] == ["charrnn serve: interrupted\n"]


def test_other_machines_may_call_it_by_any_name(models: Path) -> None:
    with serving_main(models, "host=0.0.0.0") as (server, http):
        assert "anyone who can reach this machine can use the server" in server.lines[0]
        name, _, port = server.url.removeprefix("http://").rpartition(":")
        assert name == find_network_address()
        assert name == socket.gethostname() or ipaddress.ip_address(name)  # of no network
        until(lambda: f"on this machine: http://127.0.0.1:{port}\n" in server.lines)
        url = f"http://127.0.0.1:{port}/v1/models"  # the name need not resolve here
        assert http.get(url, headers={"Host": "box.example"}).status_code == 200
