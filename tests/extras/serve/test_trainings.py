"""Networks that the server trains on posted texts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import serving

JSON = {"Content-Type": "application/json"}
CATS = "The cat sat on the mat and ate the rat. "


def wait_for_state(http: Any, id_: str, state: str) -> Any:
    """Return what the server says of a training when it is in a state."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        (found,) = (t for t in http.get("/v1/trainings").json()["data"] if t["id"] == id_)
        if found["state"] == state:
            return found
        assert found["state"] in ("waiting", "running"), found
        time.sleep(0.2)
    raise AssertionError(found)


@pytest.mark.usefixtures("runs")  # which says what is not installed
def test_texts_are_trained_one_after_the_other(workplace: Path) -> None:
    with serving() as server, server.client() as http:

        def add(name: str, text: str) -> str:
            return str(http.post("/v1/trainings", json={"name": name, "text": text}).json()["id"])

        long, waiting = add("long", CATS * 500), add("../It's (1)", CATS)
        cats, lost = add("cats", CATS * 10), add("lost", CATS)
        assert [t["name"] for t in http.get("/v1/trainings").json()["data"]][1] == "It's -1"
        assert http.post(f"/v1/trainings/{waiting}/stop").json()["state"] == "stopped"
        (workplace / "outputs/serve" / lost / "lost.txt").unlink()
        wait_for_state(http, long, "running")
        assert http.delete(f"/v1/trainings/{long}").json() == {"id": long, "deleted": True}
        done = wait_for_state(http, cats, "done")
        assert (done["line"], done["better"]) == ("", True)
        steps, losses = zip(*done["losses"], strict=True)
        assert [*steps] == sorted(steps)
        assert done["loss"] < losses[0]
        assert "lost.txt: no such file" in wait_for_state(http, lost, "failed")["line"]
        asked = {"model": "cats", "prompt": "The ", "max_tokens": 20}
        assert http.post("/v1/completions", json=asked).status_code == 200
        assert http.post("/v1/trainings/../stop").status_code == 404
        assert http.post("/v1/trainings/nothing/stop").status_code == 404
        nothing = http.post("/v1/trainings", json={"name": "x"}).json()
        assert nothing["error"]["message"] == "text: Field required"
        surrogate = {"content": b'{"name": "x", "text": "\\ud800"}', "headers": JSON}
        odd = http.post("/v1/trainings", **surrogate).json()["id"]
        assert http.delete(f"/v1/trainings/{odd}").status_code == 200
        last = add("last", CATS * 500)
        wait_for_state(http, last, "running")
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines
    assert sorted(p.name for p in (workplace / "outputs/serve").iterdir()) == sorted(
        [waiting, cats, lost, last]
    )
