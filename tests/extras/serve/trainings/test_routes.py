"""The routes below /v1/trainings, in a real server that trains real networks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.extras.serve.servers import Server, serving_main
from tests.extras.serve.trainings.tiny import TINY, write_text
from tests.waiting import until

PATCH = f"""
import charrnn.extras.serve.trainings.worker as workers
workers.WORDS = {TINY!r}
"""
URL = "/v1/trainings"
Learning = tuple[Server, Any]  # the fixture `learning`


@pytest.fixture(scope="module")
def learning(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learning]:
    """Start a server that learns small texts, and a client of it."""
    options = ("max_text=5000", "max_trainings=2", "min_free=0")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("learning"))
        with serving_main(models, *options, patch=PATCH) as (server, http):
            yield server, http
            assert server.stop() == 0
            assert len(server.lines) == 1, server.lines


def add(http: Any, name: str, text: bytes | None = None, **options: Any) -> Any:
    content = write_text() if text is None else text
    params = {"name": name, **options.pop("params", {})}
    return http.post(URL, params=params, content=content, **options)


def read_events(http: Any, id_: str, last: str) -> list[dict[str, Any]]:
    """Read the events of a training until it has a state, like an EventSource."""
    events: list[dict[str, Any]] = []
    headers = {"Accept": "text/event-stream"}
    while True:
        with http.stream("GET", f"{URL}/{id_}", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    events.append(json.loads(line.removeprefix("data: ")))
                    if events[-1]["state"] == last:
                        return events


def children(server: Server) -> list[int]:
    paths = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [int(pid) for path in paths for pid in path.read_text().split()]


def test_a_text_is_learned_told_step_by_step_and_learned_again(learning: Learning) -> None:
    server, http = learning
    answer = add(http, "Zoë and co")
    assert answer.status_code == 201
    created = answer.json()
    assert (created["name"], created["kind"], created["error"]) == ("Zoë and co", "text", None)
    assert created["characters"] == len(write_text().decode())
    until(lambda: children(server))
    lower = os.getpriority(os.PRIO_PROCESS, 0) + 10  # nicer than the server
    until(lambda: [os.getpriority(os.PRIO_PROCESS, pid) for pid in children(server)] == [lower])
    events = read_events(http, created["id"], "ready")
    assert {event["state"] for event in events} == {"training", "ready"}
    assert len(events) > 3
    last = events[-1]
    assert last == http.get(f"{URL}/{created['id']}").json()
    network = {"kind": "lstm", "num_layers": 1, "hidden_size": 16, "steps": 2000}
    assert last["network"] == {**network, "characters_a_step": 40}
    assert (last["step"], last["has_model"], last["position"]) == (2000, True, None)
    assert [step for step, _ in last["val"]] == [500, 1000, 1500, 2000]
    assert [sample["step"] for sample in last["samples"]] == [500, 1000, 1500, 2000]
    assert last["train"][-1][1] < last["train"][0][1]
    assert [training["name"] for training in http.get(URL).json()["data"]] == ["Zoë and co"]
    # Only the process of the training imports torch.
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()
    # It helps another training of the same text, from its model.
    assert (created["background"], created["start_from"], created["missing"]) == (None, None, [])
    sources = {"background": created["id"], "start_from": created["name"]}
    params = {"copy": created["id"], **sources}
    assert add(http, "again", params=params).status_code == 400  # with a text
    again = add(http, "again", b"", params=params).json()
    assert {name: again[name] for name in sources} == sources
    text = http.get(f"{URL}/{again['id']}/text")
    assert text.content == write_text()
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    last = read_events(http, again["id"], "ready")[-1]
    assert (last["error"], last["missing"], last["network"]["hidden_size"]) == (None, [], 16)
    for id_ in (created["id"], again["id"]):
        assert http.delete(f"{URL}/{id_}").status_code == 204
    assert http.get(URL).json()["data"] == []


def test_a_training_stops_goes_on_and_is_renamed(learning: Learning) -> None:
    server, http = learning
    path = f"{URL}/{add(http, 'cats').json()['id']}"
    until(lambda: http.get(path).json()["train"])
    for body, field in (({"state": "ready"}, "state"), ({"name": "<x>"}, "name"), ({"a": 1}, "a")):
        refused = http.patch(path, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)
    assert http.patch(path, json={"state": "stopped"}).json()["state"] == "stopped"
    until(lambda: not children(server))
    step = http.get(path).json()["step"]
    assert http.patch(path, json={"name": " dogs "}).json()["name"] == "dogs"
    assert http.patch(path, json={"state": "waiting"}).json()["state"] in ("waiting", "training")
    last = read_events(http, path.rpartition("/")[2], "ready")[-1]
    assert (last["name"], last["step"]) == ("dogs", 2000)
    assert step < 2000
    assert http.patch(path, json={"state": "waiting"}).json()["state"] == "ready"
    assert http.delete(path).status_code == 204


def test_bad_requests_are_refused_in_a_line(learning: Learning) -> None:
    server, http = learning
    none = f"{URL}/0123456789abcdef"
    foreign = {"Origin": "https://evil.example"}
    answers = (
        (add(http, "x", b""), 400, "x: the text is empty"),
        (add(http, "x", bytes(range(256))), 400, "save it as plain text in UTF-8"),
        (add(http, "x", b"a" * 5001), 413, "5,000 bytes"),
        (add(http, "<b>bold</b>"), 400, "name: may have letters"),
        (http.post(URL, content=b"text"), 400, "name: Field required"),
        (http.post(URL, params={"name": "x", "minutes": "0"}, content=b"text"), 400, "minutes: "),
        (http.post(URL, params={"name": "x"}, files={"f": b"text"}), 415, "the text alone"),
        (add(http, "x", headers=foreign), 403, "Origin: "),
        (add(http, "x", headers={"Origin": "null"}), 403, "Origin: "),
        (add(http, "x", params={"background": "0123"}), 404, "no such text"),
        (add(http, "x", params={"start_from": "../x"}), 404, "no such model"),
        (add(http, "x", params={"copy": "0123"}), 404, "no such training"),
        (http.delete(none, headers=foreign), 403, "Origin: "),
        (http.patch(none, json={"state": "stopped"}, headers=foreign), 403, "Origin: "),
        (http.get(none), 404, "no such training"),
        (http.get(f"{URL}/..%2F..%2Fetc"), 404, ""),
        (http.patch(none, json={"state": "stopped"}), 404, "no such training"),
    )
    for answer, status, words in answers:
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert "=" not in answer.json()["error"]["message"]
    head = f"POST {URL}?name=x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n"
    with server.connect(head.encode() + b"half of a te"):
        time.sleep(0.2)
    assert http.get(URL).json()["data"] == []
    until(lambda: [path.name for path in Path("outputs/serve").iterdir()] == [".lock"])


def test_the_server_of_a_page_may_be_asked_by_it_and_has_limits(learning: Learning) -> None:
    _, http = learning
    listed = http.get(URL).json()
    facts = {name: listed[name] for name in ("max_text", "max_minutes", "is_teacher")}
    assert facts == {"max_text": 5000, "max_minutes": None, "is_teacher": True}
    origin = str(http.base_url).rstrip("/")
    ids = [add(http, "x", headers={"Origin": origin}).json()["id"]]
    until(lambda: http.get(f"{URL}/{ids[0]}").json()["state"] == "training")
    ids += [add(http, "x").json()["id"] for _ in range(2)]
    assert [http.get(f"{URL}/{id_}").json()["position"] for id_ in ids] == [None, 1, 2]
    refused = add(http, "x")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    for id_ in ids:
        assert http.delete(f"{URL}/{id_}").status_code == 204


def test_a_change_that_cannot_be_stored_changes_nothing(models: Path, workplace: Path) -> None:
    with serving_main(models, "min_free=0", patch=PATCH) as (_, http):
        _, waiting = (add(http, name).json() for name in ("cats", "dogs"))
        record = Path("outputs/serve", waiting["id"], "training.json")
        record.unlink()
        record.mkdir()
        change = {"name": "birds", "is_shared": True, "state": "stopped"}
        refused = http.patch(f"{URL}/{waiting['id']}", json=change)
        assert (refused.status_code, "cannot be stored" in refused.text) == (507, True)
        now = http.get(f"{URL}/{waiting['id']}").json()
        assert (now["name"], now["is_shared"]) == ("dogs", False)
        assert now["state"] != "stopped"


def test_other_machines_need_leave_to_let_it_learn(
    models: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_main(models, "host=0.0.0.0") as (_, http):
        port = http.base_url.port
        for path in (URL, "/learn", "/v1/learning"):
            assert http.get(f"http://127.0.0.1:{port}{path}").status_code == 404
    monkeypatch.setenv("CHARRNN_TOKEN", "sesame")
    options = ("host=0.0.0.0", "learn=true", f"min_free={10**18}")
    with serving_main(models, *options) as (_, http):
        url = f"http://127.0.0.1:{http.base_url.port}{URL}"
        assert http.get(url).status_code == 401
        http.headers["Authorization"] = "Bearer sesame"
        listed = http.get(url).json()
        assert (listed["data"], listed["max_minutes"], listed["is_teacher"]) == ([], 2, True)
        refused = http.post(url, params={"name": "x"}, content=b"text")
        assert (refused.status_code, "disk" in refused.text) == (507, True)
