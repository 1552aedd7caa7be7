"""Writing with learned models, on a server that starts without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charrnn.model import Model
from charrnn.runs.model_lookup import read_model
from tests.extras.serve.servers import serving
from tests.extras.serve.trainings.test_routes import PATCH, URL, add
from tests.waiting import until

TEACHER = {"Charrnn-Teacher": "t"}
OPTIONS = ("min_free=0", "teacher_token=t")


def complete(http: Any, **body: Any) -> Any:
    return http.post("/v1/completions", json={"prompt": "the", "seed": 1, **body})


def list_models(http: Any, **options: Any) -> list[str]:
    return [card["id"] for card in http.get("/v1/models", **options).json()["data"]]


@pytest.mark.usefixtures("models")  # which says what is not installed
def test_learned_models_write_for_those_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    monkeypatch.chdir(tmp_path)
    with serving(*OPTIONS, patch=PATCH) as server:
        anna, ben = (httpx.Client(base_url=server.url, timeout=60) for _ in range(2))
        anna.get(URL)
        assert "serving no model yet at" in server.lines[0]
        assert list_models(anna) == []
        refused = complete(anna).json()["error"]
        assert (refused["code"], "no model yet" in refused["message"]) == ("model_not_found", True)
        training = f"{URL}/{add(anna, 'cats').json()['id']}"
        until(lambda: anna.get(training).json()["has_model"])
        assert complete(anna, model="cats").status_code == 200  # while it trains
        until(lambda: anna.get(training).json()["state"] == "ready")
        model = Model(read_model(f"outputs/serve/{training.rpartition('/')[2]}/run"))
        written = complete(anna, model="cats", max_tokens=99).json()["choices"][0]["text"]
        assert written == model.generate(99, "the", seed=1, temperature=1)
        assert anna.post("/v1/lines", json={"text": "x", "model": "cats"}).json() == {"lines": []}
        [card] = anna.get("/v1/models").json()["data"]
        assert card["files"] == ["page.html", "model.safetensors", "report.html"]
        for name, content in (("page.html", "packed-lines"), ("report.html", "Validation loss")):
            taken = anna.get(f"/v1/files/{name}", params={"model": "cats"})
            assert content in taken.text
            assert 'id="packed-lines">null<' not in taken.text
            assert ben.get(f"/v1/files/{name}", params={"model": "cats"}).status_code == 404
        # Others need the owner's leave, and never get the text.
        assert (list_models(ben), list_models(ben, headers=TEACHER)) == ([], ["cats"])
        assert complete(ben, model="cats").status_code == complete(ben).status_code == 404
        anna.patch(training, json={"is_shared": True, "name": "Katzen"})
        assert (list_models(ben), complete(ben).json()["model"]) == (["Katzen"], "Katzen")
        for path, status in (("copied", 404), ("lines", 404), ("read_as", 200)):
            answer = ben.post(f"/v1/{path}", json={"text": "the cat", "model": "Katzen"})
            assert answer.status_code == status
        page = ben.get("/v1/files/page.html")
        assert '<script type="application/json" id="packed-lines">null<' in page.text
        assert page.headers["content-disposition"].endswith("Katzen.html")
        ben.patch(training, json={"is_shared": False}, headers=TEACHER)
        assert list_models(ben) == []
        cookies = dict(anna.cookies)
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines
        anna.close()
        ben.close()
    # A new server offers a learned model only to its owner.
    with serving(*OPTIONS) as server, httpx.Client(base_url=server.url, cookies=cookies) as anna:
        assert "serving a learned text at" in server.lines[0]
        assert complete(anna).json()["model"] == "Katzen"
        assert anna.delete(training).status_code == 204
        assert complete(anna, model="Katzen").status_code == 404
