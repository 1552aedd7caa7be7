"""The files of a model that a client takes home."""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from charrnn.extras.serve.downloads import LICENCE, list_files, make_file, make_headers
from charrnn.runs.model_lookup import read_model


def test_a_model_gives_its_file_and_its_page(models: Path, http: Any) -> None:
    pytest.importorskip("charrnn.extras.page", reason="there is no page in this checkout")
    from charrnn.extras.page.content import make_content
    from charrnn.extras.page.writing_page import make_writing_page

    cards = {card["id"]: card["files"] for card in http.get("/v1/models").json()["data"]}
    assert cards["main"] == cards["bytes"] == ["page.html", "model.safetensors"]
    file = http.get("/v1/files/model.safetensors", params={"model": "main"})
    assert file.content == (models / "main.safetensors").read_bytes()
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''main.safetensors"
    page = http.get("/v1/files/page.html")
    expected, _ = make_content(
        make_writing_page, read_model(models / "main.safetensors"), "main", LICENCE
    )
    assert page.text == expected
    assert page.headers["x-content-type-options"] == "nosniff"
    for name, model, status in (
        ("report.html", "main", 404),
        ("page.html", "../main", 404),
        ("training.json", "main", 400),
        ("..%2Fmain.safetensors", "main", 404),
    ):
        answer = http.get(f"/v1/files/{name}", params={"model": model})
        assert (answer.status_code, "error" in answer.json()) == (status, True)


def test_a_run_gives_its_report_as_well(run_cache: Callable[..., Path]) -> None:
    for extra in ("page", "report"):
        pytest.importorskip(f"charrnn.extras.{extra}", reason="it is not in this checkout")
    file = run_cache() / "model.safetensors"
    assert list_files(file) == ["page.html", "model.safetensors", "report.html"]
    assert b"Validation loss" in make_file("report.html", file, "it")
    assert b'id="packed-lines">null<' not in make_file("page.html", file, "it")


@pytest.mark.parametrize("name", ["Faust", 'Zoë "quoted"; x=1', "a\r\nSet-Cookie: x", "\udcff"])
def test_a_browser_saves_a_file_under_any_name(name: str) -> None:
    header = make_headers("report.html", name)["Content-Disposition"]
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    expected = f"{name} report.html".encode("utf-8", "replace").decode()
    assert message.get_filename() == expected
