"""Which pages and clients may ask, and under which names the server answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import serving

ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Referer": "https://evil.example/page?x=http://127.0.0.1"},
]
ROUTES = [
    ("POST", "/v1/completions", {"prompt": "A", "max_tokens": 1}),
    ("POST", "/v1/copied", {"text": "A"}),
    ("POST", "/v1/read_as", {"text": "A"}),
    ("GET", "/generate?start_text=A&length=1", None),
]


def test_it_answers_under_no_name_that_others_could_have(http: Any) -> None:
    port = http.base_url.port
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", f"127.0.0.1:{port}", "[::1]:1"):
        assert http.get("/", headers={"Host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.x",
                 "10.0.0.1", "[::2]", "[", "x@evil.example"):  # fmt: skip
        for method, path, body in [*ROUTES, ("GET", "/", None), ("GET", "/page/main.js", None)]:
            assert http.request(method, path, json=body, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_what_another_site_starts_is_refused(
    http: Any, method: str, path: str, body: dict[str, Any] | None
) -> None:
    for headers in ELSEWHERE:
        answer = http.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403
        assert "cors=" in answer.json()["error"]["message"]
    url = str(http.base_url).rstrip("/")
    other = f"http://localhost:{http.base_url.port}"
    for headers in (
        {},
        {"Origin": url, "Sec-Fetch-Site": "same-origin"},
        {"Origin": url},
        {"Host": other.removeprefix("http://"), "Origin": other},
        {"Sec-Fetch-Site": "none"},  # typed by a person
        {"Referer": f"{url}/docs"},
    ):
        answer = http.request(method, path, json=body, headers=headers)
        # there is no training text to look for copies in
        assert answer.status_code == (404 if path == "/v1/copied" else 200)


def test_a_link_from_elsewhere_leads_to_the_page_and_nothing_may_read_it(http: Any) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://example.org"}
    answer = http.get("/", headers=headers)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_cors_admits_pages_and_names_and_a_token_is_asked_for(models: Path) -> None:
    import httpx

    checkpoint = f"checkpoint={models}/main.safetensors"
    origins = ["https://write.example.org", "app://obsidian.md"]
    token = {"Authorization": "Bearer sésame".encode()}
    with (
        serving(
            checkpoint, f"cors=[{','.join(origins)}]", environment={"CHARRNN_TOKEN": "sésame"}
        ) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        for method, path, body in ROUTES[::2]:
            for origin in origins:
                headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site", **token}
                answer = http.request(method, path, json=body, headers=headers)
                assert answer.status_code == 200
                assert answer.headers["access-control-allow-origin"] == origin
            for evil in ELSEWHERE:
                headers = {**evil, **token}
                assert http.request(method, path, json=body, headers=headers).status_code == 403
        asked = {
            "Origin": origins[0],
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
        }
        assert http.options("/v1/completions", headers=asked).status_code == 200
        # behind a proxy that hands the name on
        assert http.get("/", headers={"Host": "write.example.org"}).status_code == 200
        assert http.get("/", headers={"Host": "obsidian.md"}).status_code == 400
        wrong: Any
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": b"Basic s\xc3\xa9same"}):
            for path in ("/v1/models", "/generate"):
                answer = http.get(path, headers=wrong)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
        assert http.get("/v1/models", headers=token).status_code == 200
        assert http.get("/health").status_code == 200


def test_cors_of_all_admits_all(models: Path) -> None:
    import httpx

    with (
        serving(f"checkpoint={models}/main.safetensors", "cors=['*']") as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        for method, path, body in ROUTES[::2]:
            for headers in [*ELSEWHERE, {"Host": "any.example"}]:
                assert http.request(method, path, json=body, headers=headers).status_code == 200


def test_other_machines_may_call_it_by_any_name(models: Path) -> None:
    import httpx

    with serving(f"checkpoint={models}/main.safetensors", "host=0.0.0.0") as server:
        assert "whoever reaches this machine can ask" in server.lines[0]
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        named = {"Host": "box.example", "Origin": "http://box.example"}
        evil = {"Host": "box.example", "Origin": "http://evil.example"}
        for headers, status in ((named, 200), (evil, 403)):
            answer = httpx.post(f"{url}/v1/completions", json={"prompt": "A"}, headers=headers)
            assert answer.status_code == status
