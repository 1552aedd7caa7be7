"""All models below a folder: their names, and when they are read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from charrnn.extras.serve.model_folder import ModelFolder
from charrnn.model import Model
from charrnn.runs.result import Result
from tests.extras.serve.servers import serving
from tests.generation.models import make_model
from tests.refusals import refusal_of
from tests.small_runs import Capture

MODEL, OTHER = (make_model(kind, seed=4) for kind in ("lstm", "gru"))
Add = Callable[..., Path]


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """Add a run that is newer than the last one."""
    times = iter(range(1, 100))

    def add(name: str, text: str | None = None, model: Any = MODEL) -> Path:
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True)
        Result(folder).write()
        os.utime(folder / "result.json", (next(times),) * 2)
        facts = {} if text is None else {"input_h5": f"/texts/{text}.h5"}
        Model(replace(model, facts=facts)).save(folder / "model.safetensors")
        return folder

    return add


def test_models_are_named_by_their_texts_or_folders_and_keep_their_names(
    tmp_path: Path, add: Add
) -> None:
    first = add("train/2026-01-01/10-00", "bard")
    add("mine")
    add("sweeps/1/lr=1", "bard")
    (add("no model") / "model.safetensors").unlink()
    models = ModelFolder(tmp_path / "outputs")
    assert [*models] == ["bard 2", "mine", "bard"]
    assert models["bard"].file == first / "model.safetensors"
    shutil.rmtree(first)
    add("new", "bard")
    add("newer", "bard")
    models.search()
    assert [*models] == ["bard 3", "bard", "bard 2", "mine"]


def test_a_server_reads_them_when_they_are_used(workplace: Path, add: Add) -> None:
    pytest.importorskip("httpx")
    add("a", "bard")
    broken = add("broken") / "model.safetensors"
    broken.write_bytes(b"no model")
    add("b", "cook", OTHER)
    texts = [Model(m).generate(300, "A", seed=1, temperature=1) for m in (MODEL, OTHER)]
    body = {"prompt": "A", "seed": 1, "max_tokens": 300}
    with serving("checkpoint=outputs", "max_loaded=1") as server, server.client() as http:
        assert "serving cook, broken, bard at" in server.lines[0]
        request = {**body, "model": "bard", "stream": True}
        with http.stream("POST", "/v1/completions", json=request) as answer:
            lines = answer.iter_lines()
            begun = [next(lines)]
            cook = http.post("/v1/completions", json=body).json()  # the newest
            events = [line for line in [*begun, *lines] if line.startswith("data: {")]
        written = "".join(json.loads(event[6:])["choices"][0]["text"] for event in events)
        assert (written, cook["choices"][0]["text"], cook["model"]) == (*texts, "cook")
        refused = http.post("/v1/completions", json={**body, "model": "broken"})
        assert (refused.status_code, str(broken) in refused.text) == (400, True)
        add("c", "bard")
        assert http.get("/v1/models").json()["data"][0]["id"] == "bard 2"
        shutil.rmtree(workplace / "outputs/c")
        assert http.post("/v1/completions", json={**body, "model": "bard 2"}).status_code == 404
        assert server.stop() == 0
        assert len(server.lines) == 1, server.lines


def test_a_folder_without_models_is_refused(tmp_path: Path, add: Add, capfd: Capture) -> None:
    (add("no model") / "model.safetensors").unlink()
    refused = refusal_of(capfd, "serve", str(tmp_path / "outputs"), "corpus=x.txt")
    assert "corpus=x.txt: is for one model" in refused
    refused = refusal_of(capfd, "serve", str(tmp_path / "outputs"))
    assert "outputs: is no run, and no run below it has a model yet" in refused
