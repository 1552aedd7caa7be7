"""Which pages and clients may ask, and under which names the server answers."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import serving
from tests.tools import until

ASKED = {"prompt": "A", "max_tokens": 1}
ADMITTED = "access-control-allow-origin"  # the site whose page may read an answer
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
}


def post(http: Any, **headers: str) -> Any:
    return http.post("/v1/completions", json=ASKED, headers=headers)


def test_the_server_answers_only_under_its_names(http: Any) -> None:
    port = http.base_url.port
    own = f"localhost:{port}", "LOCALHOST", "127.0.0.1", f"127.0.0.1:{port}", "[::1]:1", "10.0.0.1"
    for host in own:
        assert http.get("/v1/models", headers={"Host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.x",
                 "[", "x@evil.example", ""):  # fmt: skip
        for path in ("/", "/v1/models", "/models/main", "/v1/trainings", "/nothing"):
            answer = http.get(path, headers={"Host": host})
            assert answer.status_code == 400
            assert "charrnn serve names=[" in answer.json()["error"]["message"]
        assert post(http, Host=host).status_code == 400


def test_pages_of_other_websites_are_refused(http: Any) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1"):
        for path in ("/v1/models", "/v1/trainings", "/models/main"):
            answer = http.get(path, headers={"Origin": origin})
            assert (answer.status_code, answer.headers.get(ADMITTED)) == (403, None)
        assert post(http, Origin=origin).status_code == 403
        answer = http.options("/v1/completions", headers={"Origin": origin, **PREFLIGHT})
        assert (answer.status_code, answer.headers.get(ADMITTED)) == (403, None)
    own = f"http://127.0.0.1:{http.base_url.port}"
    assert post(http, Origin=own).status_code == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded"):  # which need no preflight
        for path in ("/v1/completions", "/v1/trainings"):
            answer = http.post(path, content=json.dumps(ASKED), headers={"Content-Type": kind})
            assert answer.status_code == 400
            assert "Content-Type: application/json" in answer.json()["error"]["message"]
    answer = http.post("/v1/completions", content="{", headers={"Content-Type": "application/json"})
    assert answer.json()["error"]["message"].startswith("body: send JSON")


def test_origins_and_names_admit_others_but_not_to_trainings(runs: Path) -> None:
    site, file = "https://write.example.org", "null"
    options = f"origins=[{site},file]", "names=[Writer.local]"
    with serving(str(runs), *options) as server, server.client() as http:
        for origin in (site, file):
            answer = http.options("/v1/completions", headers={"Origin": origin, **PREFLIGHT})
            assert (answer.status_code, answer.headers[ADMITTED]) == (200, origin)
            answer = post(http, Origin=origin)
            assert (answer.status_code, answer.headers[ADMITTED]) == (200, origin)
            assert http.get("/v1/trainings", headers={"Origin": origin}).status_code == 403
        assert post(http, Origin="https://evil.example").status_code == 403
        assert post(http, Host="writer.local:1", Origin="https://writer.local:1").status_code == 200
        assert post(http, Host="writer.local", Origin="https://xwriter.local").status_code == 403
        assert http.get("/v1/trainings", headers={"Host": "writer.local"}).status_code == 403
        assert http.get("/v1/trainings").json() == {"data": []}


@pytest.mark.parametrize("named", [False, True])
def test_other_machines_get_named_models_and_no_trainings(runs: Path, named: bool) -> None:
    options = [f"checkpoint={runs}/other"] if named else []
    with serving("host=0.0.0.0", *options) as server, server.client() as http:
        what = "other" if named else "a page that learns a text"
        assert f"serving {what} at http://" in server.lines[0]
        port = server.url.rpartition(":")[2]
        until(lambda: server.lines[1:] == [f"on this machine: http://localhost:{port}\n"])
        http.base_url = f"http://127.0.0.1:{port}"
        found = [model["id"] for model in http.get("/v1/models").json()["data"]]
        assert found == (["other"] if named else [])
        assert http.get("/v1/trainings").status_code == 404
        address = socket.gethostname()
        assert http.get("/", headers={"Host": address}).status_code == 400
        assert http.get("/", headers={"Host": f"192.0.2.1:{port}"}).status_code == 200
