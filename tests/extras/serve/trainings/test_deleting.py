"""A deleted text is nowhere on the disk, in whatever way it was deleted."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
import pytest

from tests.extras.serve.servers import serving_main
from tests.extras.serve.trainings.test_routes import PATCH, URL, add
from tests.extras.serve.trainings.tiny import write_text
from tests.waiting import until

LONG = f"{PATCH}\nworkers.WORDS = [*workers.WORDS, 'trainer.max_steps=1000000']"
FOREIGN, TEACHER = {"Origin": "https://evil.example"}, {"Charrnn-Teacher": "t"}


def test_a_deleted_text_is_not_on_the_disk(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMPDIR", "CHARRNN_CACHE", "HOME"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)

    def find(name: str) -> set[str]:
        """List the ids of the trainings in whose files a text is."""
        found = set()
        for path in tmp_path.rglob("*"):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # while one trains
                if secret(name).encode() in path.read_bytes():
                    found.add(path.relative_to(tmp_path).parts)
        assert {parts[:2] for parts in found} <= {("outputs", "serve")}
        return {parts[2] for parts in found}

    with serving_main(models, "min_free=0", "teacher_token=t", patch=LONG) as (server, http):

        def learn(name: str, text: bytes | None = None, **params: str) -> str:
            content = secret(name).encode() + write_text() if text is None else text
            id_: str = add(http, name, content, params=params).json()["id"]
            return id_

        def wait_for_a_model(id_: str) -> None:
            until(lambda: http.get(f"{URL}/{id_}").json()["has_model"])

        def delete(id_: str) -> None:
            assert http.delete(f"{URL}/{id_}").status_code == 204

        lender = learn("lender")
        wait_for_a_model(lender)
        assert find("lender") == {lender}
        http.patch(f"{URL}/{lender}", json={"state": "stopped"})
        borrower = learn("borrower", background=lender, start_from="lender")
        wait_for_a_model(borrower)
        copy = learn("copy", b"", copy=borrower)
        delete(lender)  # while another training uses it
        assert find("lender") == set()
        assert http.get(f"{URL}/{borrower}").json()["state"] == "training"
        assert find("borrower") == {borrower, copy}
        delete(borrower)  # while it trains
        assert find("borrower") == {copy}
        delete(copy)
        assert find("borrower") == set()
        # Its ids would be in training.h5 and training.json, so they are in a cache.
        ids = [learn(name) for name in ("training", "second")]
        (tmp_path / "outputs/serve/broken").mkdir()
        (tmp_path / "outputs/serve/broken/old.txt").write_text(secret("broken"))
        wait_for_a_model(ids[0])
        with httpx.Client(base_url=server.url) as other:
            assert other.delete(URL).status_code == http.delete(URL).status_code == 403
            assert other.delete(URL, headers={**TEACHER, **FOREIGN}).status_code == 403
            assert find("training") == {ids[0]}
            assert other.delete(URL, headers=TEACHER, timeout=60).status_code == 204
        assert http.get(URL).json()["data"] == []
        assert [path.name for path in (tmp_path / "outputs/serve").iterdir()] == [".lock"]
        assert find("training") == find("second") == find("broken") == set()
        assert not (tmp_path / "outputs/latest").is_symlink()
        assert list((tmp_path / "CHARRNN_CACHE").iterdir()) == []


def secret(name: str) -> str:
    return f"the {name} saw a cat at noon on the mat. "
