"""charrnn export."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.extras.page.packing import pack_file
from charrnn.extras.page.rounding import TOLERANCE, compute_divergences, quantize_weights
from charrnn.extras.page.single_file import make_single_file
from charrnn.extras.page.writing_page import make_served_page
from charrnn.generation.numpy_network import fold_weights
from charrnn.model import Model
from tests.extras.page.node import run_node
from tests.generation.models import make_counted_model, make_model


def test_a_page_is_one_file_with_the_model_in_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    facts = {"input_h5": "/home/ann/secret/verse-0123456789abcdef.h5", "step": 1000}
    path, output = tmp_path / "model.safetensors", tmp_path / "new" / "page.html"
    Model(replace(make_model(), facts=facts)).save(path)
    assert main(["export", str(path), f"output={output}", "title=A <b> & more"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"weights of [5-8] bits, which adds 0\.00", err)
    page = output.read_text(encoding="utf-8")
    assert "<title>A &lt;b&gt; &amp; more</title>" in page
    header = read_header(page)
    assert header["about"]["title"] == "A <b> & more"
    assert "/home" not in json.dumps(header)
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    # its script and style are allowed by their hashes, and nothing else is
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["worker-src"] == "blob:"
    assert "connect-src" not in allowed
    assert "connect-src 'self'" in make_served_page()
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        [inline] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert allowed[name].split()[0] == f"'sha256-{digest}'"
    assert not re.search("unsafe-inline|http", policy)


def test_a_page_that_learns_has_no_model(workplace: Path) -> None:
    assert main(["export", "learn=true", "output=learn.html"]) == 0
    page = (workplace / "learn.html").read_text("utf-8")
    assert 'id="packed">null<' in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


def read_header(page: str) -> dict[str, Any]:
    """Return the header of the packed model in a page."""
    found = re.search(r'<script type="application/json" id="packed">(.*?)</script>', page)
    assert found
    packed = zlib.decompress(base64.b64decode(json.loads(found[1])))
    header: dict[str, Any] = json.loads(packed[4 : 4 + int.from_bytes(packed[:4], "little")])
    return header


def test_weights_that_eight_bits_would_spoil_stay_as_they_are(tmp_path: Path) -> None:
    """Check a row with one large number, which takes all the steps."""
    model = make_model()
    model.weights["decoder.weight"][:, 0] = 100
    weights = fold_weights(model)
    assert next(compute_divergences(model, weights, quantize_weights(weights, 8))) > TOLERANCE
    path, output = tmp_path / "model.safetensors", tmp_path / "page.html"
    Model(model).save(path)
    assert main(["export", str(path), f"output={output}"]) == 0
    types = {name: dtype for name, dtype, _ in read_header(output.read_text())["arrays"]}
    assert types["network.decoder"] == "float32"
    assert base64.b64encode(pack_file(path)).decode() in output.read_text()


# One file: what is allowed in it, and what is refused

HTML = '<html>\n<head>\n<meta charset="utf-8">\n</head>\n<body>\n</body>\n</html>\n'


def test_data_comes_back_as_it_was_and_ends_nothing() -> None:
    text = "</script><!-- <script> \u2028\0\\"
    page = make_single_file(HTML, style="", script="", data={"x": text})
    found = re.findall(r'<script type="application/json" id="x">(.*?)</script>', page, re.DOTALL)
    assert [json.loads(each) for each in found] == [text]
    assert "<" not in found[0]


# The model as an ES module

SCRIPT = """import model from "./model.mjs";
const text = await model.generate({ length: 300, seed: 3, start_text: "Oh " });
console.log(JSON.stringify([model.ready, model.vocabulary, text, await model.score("The cat")]));
"""


@pytest.mark.parametrize("has_counts", [True, False])
def test_a_module_writes_what_python_writes(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, has_counts: bool
) -> None:
    monkeypatch.setattr("charrnn.extras.page.rounding.TOLERANCE", -1)  # weights of 32 bits
    model = Model(make_counted_model() if has_counts else make_model())
    model.save(workplace / "model.safetensors")
    title = "title=A */ </script>\n\u2028`${x}`"
    words = ["export", "model.safetensors", "output=model.js", title]
    assert main(words) == 0
    shutil.move(workplace / "model.js", workplace / "model.mjs")
    (workplace / "main.mjs").write_text(SCRIPT)
    ready, vocabulary, text, score = run_node("main.mjs")
    assert ready
    assert vocabulary == model.vocabulary.characters
    assert text == model.generate(300, "Oh ", seed=3)
    assert score == pytest.approx(model.score("The cat"), abs=1e-5)
