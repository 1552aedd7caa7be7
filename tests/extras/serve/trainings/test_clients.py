"""Test who owns a training: words, cookies, the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.extras.serve.servers import serving_main
from tests.extras.serve.trainings.test_routes import PATCH, URL, add
from tests.extras.serve.trainings.tiny import write_text


def test_trainings_answer_their_owner_and_the_teacher_only(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("max_minutes=3", "teacher_token=Schöne Aussicht")
    with serving_main(models, *options, patch=PATCH) as (server, http):
        anna, ben, tablet, teacher = (
            httpx.Client(base_url=server.url, timeout=60) for _ in range(4)
        )
        first = anna.get(URL)
        words = first.json()["words"]
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(f"charrnn_words={words}; HttpOnly; Max-Age=")
        assert "SameSite=strict" in cookie
        created = add(anna, "diary").json()
        assert (created["is_mine"], created["is_shared"], created["minutes"]) == (True, False, 3)
        path = f"{URL}/{created['id']}"
        assert "set-cookie" not in anna.get(path).headers
        # Nobody else finds it: not another browser, no program without a cookie, no wrong words.
        assert ben.get(URL).json()["words"] != words
        forged = {"Cookie": "charrnn_words=<script>"}
        for client, headers in ((ben, {}), (http, {}), (http, forged)):
            assert client.get(URL, headers=headers).json()["data"] == []
            requests: tuple[Any, ...] = (
                client.get(path, headers=headers),
                client.get(path, headers={"Accept": "text/event-stream", **headers}),
                client.get(f"{path}/text", headers=headers),
                client.patch(path, json={"name": "mine"}, headers=headers),
                client.patch(path, json={"is_shared": True}, headers=headers),
                client.delete(path, headers=headers),
            )
            assert [answer.status_code for answer in requests] == [404] * 6
        # A text that is not shared helps nobody else.
        for name in ("background", "copy"):
            refused = add(ben, "x", params={name: created["id"]})
            assert (refused.status_code, refused.json()["error"]["param"]) == (404, name)
        # Another browser of the same pupil, once.
        typed = {"Charrnn-Words": f"{words.upper().replace('-', ' ')}."}
        assert [t["name"] for t in tablet.get(URL, headers=typed).json()["data"]] == ["diary"]
        assert [t["name"] for t in tablet.get(URL).json()["data"]] == ["diary"]
        assert tablet.patch(path, json={"is_shared": True}).json()["is_shared"] is True
        helped = add(ben, "x", params={"background": created["id"]}).json()
        assert helped["background"] == created["id"]
        assert add(ben, "x", b"", params={"copy": created["id"]}).status_code == 404
        assert ben.delete(f"{URL}/{helped['id']}").status_code == 204
        wrong = tablet.get(URL, headers={"Charrnn-Words": "open sesame"})
        assert (wrong.status_code, "three words" in wrong.text) == (400, True)
        mistyped = tablet.get(URL, headers={"Charrnn-Words": "bababa bababa bababa"})
        assert (mistyped.status_code, mistyped.headers.get("set-cookie")) == (404, None)
        # The teacher.
        teacher.headers.update([(b"Charrnn-Teacher", "Schöne Aussicht".encode())])
        listed = teacher.get(URL).json()
        assert listed["is_teacher"] is True
        assert [(t["name"], t["is_mine"]) for t in listed["data"]] == [("diary", False)]
        longer = teacher.post(URL, params={"name": "long", "minutes": 30}, content=b"text")
        assert longer.json()["minutes"] == 30
        assert [t["name"] for t in anna.get(URL).json()["data"]] == ["diary"]
        assert teacher.get(f"{path}/text").content == write_text()
        assert teacher.delete(path).status_code == 204
        assert anna.get(path).status_code == 404
        records = [*tmp_path.glob("outputs/serve/*/training.json")]
        assert len(records) == 1
        assert words not in records[0].read_text()
        for client in (anna, ben, tablet, teacher):
            client.close()


def test_a_client_cannot_fill_the_queue(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving_main(models, "teacher_token=t", patch=PATCH) as (server, anna):
        anna.get(URL)  # its cookie
        answers = [add(anna, "spam").status_code for _ in range(12)]
        assert set(answers) == {201, 409}
        with httpx.Client(base_url=server.url, timeout=60) as ben:
            assert add(ben, "tales").status_code == 201
