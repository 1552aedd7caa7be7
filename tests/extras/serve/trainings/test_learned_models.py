"""Writing with learned models, on a server that starts without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.model import Model
from charrnn.runs.model_lookup import read_model
from tests.extras.serve.servers import serving, until
from tests.extras.serve.trainings.test_routes import PATCH, URL, add
from tests.extras.serve.trainings.tiny import write_text

NEEDED = ("fastapi", "uvicorn", "fastapi_offline")
TEACHER = {"Charrnn-Teacher": "t"}
OPTIONS = ("max_loaded=1", "min_free=0", "teacher_token=t")


def complete(http: Any, **body: Any) -> Any:
    return http.post("/v1/completions", json={"prompt": "the", "seed": 1, **body})


def list_models(http: Any, **options: Any) -> list[str]:
    return [card["id"] for card in http.get("/v1/models", **options).json()["data"]]


@pytest.mark.slow
def test_learned_models_write_for_those_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpx = pytest.importorskip("httpx")
    for name in NEEDED:
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    with serving(*OPTIONS, patch=PATCH) as server:
        anna, ben = (httpx.Client(base_url=server.url, timeout=60) for _ in range(2))
        anna.get(URL)
        assert "serving no model yet at" in server.lines[0]
        assert list_models(anna) == []
        refused = complete(anna).json()["error"]
        assert (refused["code"], "no model yet" in refused["message"]) == ("model_not_found", True)
        ids = [add(anna, "cats", write_text(n)).json()["id"] for n in (1, 2)]
        until(lambda: anna.get(f"{URL}/{ids[0]}").json()["has_model"])
        assert complete(anna, model="cats").status_code == 200  # while it trains
        until(lambda: {t["state"] for t in anna.get(URL).json()["data"]} == {"ready"}, 240)
        for name, id_ in zip(("cats", "cats 2"), ids, strict=True):
            model = Model(read_model(f"outputs/serve/{id_}/run"))
            written = complete(anna, model=name, max_tokens=99).json()["choices"][0]["text"]
            assert written == model.generate(99, "the", seed=1, temperature=1)
        assert anna.post("/v1/lines", json={"text": "x", "model": "cats"}).json() == {"lines": []}
        card = anna.get("/v1/models").json()["data"][1]
        assert card["files"] == ["page.html", "model.safetensors", "report.html"]
        assert card["training"] == ids[0]
        for name, content in (("page.html", "packed-lines"), ("report.html", "Validation loss")):
            taken = anna.get(f"/v1/files/{name}", params={"model": "cats"})
            assert content in taken.text
            assert 'id="packed-lines">null<' not in taken.text
            assert ben.get(f"/v1/files/{name}", params={"model": "cats"}).status_code == 404
        # Others need the owner's leave.
        assert (list_models(anna), list_models(ben)) == (["cats 2", "cats"], [])
        assert list_models(ben, headers=TEACHER) == ["cats 2", "cats"]
        assert complete(ben, model="cats").status_code == 404
        assert complete(ben).status_code == 404
        anna.patch(f"{URL}/{ids[0]}", json={"is_shared": True, "name": "Katzen"})
        assert list_models(ben) == ["Katzen"]
        shared = complete(ben).json()
        for path, status in (("copied", 404), ("lines", 404), ("read_as", 200)):
            answer = ben.post(f"/v1/{path}", json={"text": "the cat", "model": "Katzen"})
            assert answer.status_code == status
        page = ben.get("/v1/files/page.html")
        assert '<script type="application/json" id="packed-lines">null<' in page.text
        assert page.headers["content-disposition"].endswith("Katzen.html")
        assert (shared["model"], complete(ben, model="cats 2").status_code) == ("Katzen", 404)
        ben.patch(f"{URL}/{ids[0]}", json={"is_shared": False}, headers=TEACHER)
        assert list_models(ben) == []
        assert anna.delete(f"{URL}/{ids[1]}").status_code == 204
        assert complete(anna, model="cats 2").status_code == 404
        cookies = dict(anna.cookies)
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines
        anna.close()
        ben.close()
    # A new server offers a learned model only to its owner.
    with serving(*OPTIONS) as server, httpx.Client(base_url=server.url, cookies=cookies) as anna:
        assert "serving a learned text at" in server.lines[0]
        assert anna.get(URL).json()["data"][0]["name"] == "Katzen"
        assert complete(anna).json()["model"] == "Katzen"


def test_without_a_model_it_needs_leave_to_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in NEEDED:
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    for words in (("learn=false",), ("host=0.0.0.0", "token=x")):
        assert main(["serve", "port=0", *words]) == 2
        line = capfd.readouterr().err
        assert line.startswith("charrnn serve: there is no model yet: train one")
        assert line.count("\n") == 1
