"""charrnn export output=model.js: the model as an ES module."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.__main__ import main
from charrnn.extras.page.int8_rows import quantize_model
from charrnn.model import Model
from tests.generation.models import make_counted_model, make_model

SCRIPT = """import model from "./model.mjs";
const text = await model.generate({ length: 300, seed: 3, start_text: "Oh " });
console.log(JSON.stringify([model.ready, model.vocabulary, text, model.score("The cat")]));
"""


@pytest.mark.parametrize("has_counts", [True, False])
def test_a_module_writes_what_python_writes(workplace: Path, has_counts: bool) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here; apt install nodejs")
    model = Model(make_counted_model() if has_counts else make_model())
    model.save(workplace / "model.safetensors")
    title = "title=A */ </script>\n\u2028`${x}`"
    words = ["export", "model.safetensors", "output=model.js", title]
    assert main(words) == 0
    shutil.move(workplace / "model.js", workplace / "model.mjs")
    (workplace / "main.mjs").write_text(SCRIPT)
    done = subprocess.run([node, "main.mjs"], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    ready, vocabulary, text, score = json.loads(done.stdout)
    assert ready
    assert vocabulary == model.vocabulary.characters
    rounded = Model(quantize_model(model.trained))
    assert text == rounded.generate(300, "Oh ", seed=3)
    assert score == pytest.approx(rounded.score("The cat"), abs=1e-5)


def test_a_module_has_the_network_only_where_the_counts_are_large(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model = make_counted_model()
    Model(model).save(workplace / "model.safetensors")
    Model(replace(model, counts=None)).save(workplace / "network.safetensors")
    assert main(["export", "network.safetensors", "output=network.js"]) == 0
    monkeypatch.setattr("charrnn.extras.page.content.MAX_PAGE_BYTES", 10)
    assert main(["export", "model.safetensors", "output=model.js"]) == 0
    assert "model.js: contains the network without the model's counts" in capfd.readouterr().err
    assert (workplace / "model.js").read_text() == (workplace / "network.js").read_text()
    assert main(["export", "model.safetensors", "output=model.ts"]) == 2
    assert "must end in .html (a page) or .js (a module)" in capfd.readouterr().err
