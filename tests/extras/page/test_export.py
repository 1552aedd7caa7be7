"""charrnn export."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn.__main__ import main
from charrnn.errors import InputError
from charrnn.extras.page import export_command as export
from charrnn.extras.page.export_command import ExportOptions
from charrnn.extras.page.packing import TOLERANCE, RoundedModel, compute_divergence
from charrnn.extras.page.writing_page import make_writing_page
from charrnn.generation.int8_rows import quantize_model
from charrnn.model import Model
from tests.generation.models import trained_model
from tests.small_runs import Train

DEFAULTS = ExportOptions(
    checkpoint="",
    output="",
    precision=None,
    title=None,
    licence="Nobody's",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = replace(
        trained_model(),
        facts={"input_h5": "/home/ann/secret/verse-0123456789abcdef.h5", "step": 1000},
    )
    Model(model).save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def run(source: Path, output: Path, **more: object) -> None:
    export.run(replace(DEFAULTS, checkpoint=str(source), output=str(output), **more))  # type: ignore[arg-type]


def test_a_page_is_one_file_with_the_model_in_it(
    path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "page.html"
    run(path, output, title="A <b> & more")
    out, err = capfd.readouterr()
    assert out == ""
    size = output.stat().st_size / 1e6
    assert re.fullmatch(
        rf"wrote {output}: {size:.2f} MB; weights of 8 bits, which adds 0\.00\d+ nats per "
        r"character to the loss\n",
        err,
    )
    page = output.read_text(encoding="utf-8")
    assert "<title>A &lt;b&gt; &amp; more</title>" in page
    assert "Content-Security-Policy" in page
    assert "verse" in page  # what it learnt from
    assert "ann" not in json.dumps(packed_model(page)["facts"])
    assert "/home" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


def packed_model(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="packed-model">(.*?)</script>', page)
    assert found
    content: dict[str, object] = json.loads(found[1])
    return content


@pytest.mark.parametrize(
    ("primer", "is_code"),
    [
        ("def f(x):\n    if x:\n        return\n", True),
        ("To be,\nor not\n\nto be\n", False),
        ("To be or not\nto be.\n\t\t-- W. Shakespeare\n", False),
        ("", False),
    ],
)
def test_code_is_shown_as_code(primer: str, is_code: bool) -> None:
    facts = {"primer": primer}
    page = make_writing_page(RoundedModel(32, replace(trained_model(), facts=facts), 0), None, "")
    assert f'"is_code":{json.dumps(is_code)}' in page


def test_weights_that_eight_bits_would_spoil_stay_as_they_are(tmp_path: Path) -> None:
    """One large number in a row, which all characters have in common, takes all the steps."""
    model = trained_model()
    model.weights["decoder.weight"][:, 0] = 100
    assert compute_divergence(model, quantize_model(model)) > TOLERANCE
    Model(model).save(tmp_path / "model.safetensors")
    run(tmp_path / "model.safetensors", tmp_path / "page.html")
    tensors: Any = packed_model((tmp_path / "page.html").read_text())["tensors"]
    assert {tensor["type"] for tensor in tensors.values()} == {"float32"}


def test_the_model_is_not_overwritten(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match="is the model itself"):
        run(path, path)
    assert path.read_bytes() == before


def test_a_page_knows_that_its_model_learnt_from_a_list(
    train: Train, trained: Train, workplace: Path
) -> None:
    names = [f"{a}{b}{c}ing" for a in "bcdfg" for b in "aeiouy" for c in "lmn"]
    (workplace / "sorted.txt").write_text("\n".join(names))
    train("trainer.max_steps=1", "data.input_txt=sorted.txt", folder="true")
    trained("trainer.max_steps=5", folder="false")
    for found in ("true", "false"):
        assert main(["export", f"checkpoint={found}", "output=page.html"]) == 0
        assert f'"is_list":{found}' in (workplace / "page.html").read_text("utf-8")
