"""How the page of `charrnn inspect` reads its passage, in node, beside Python's engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charrnn.extras.inspect import activations
from charrnn.extras.inspect import passage_report as report
from charrnn.extras.page.packing import pack_model
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from tests.extras.page.node import NETWORK, PAGE, run
from tests.generation.models import CHARACTERS, make_model

INSPECT = PAGE.parents[1] / "inspect" / "site"
TEXT = "".join(np.random.default_rng(0).choice(list(CHARACTERS), 1200))
MADE = """
const sampler = module_network_sampler.createSampler(given.model);
const ids = sampler.vocabulary.lookUp(given.text);
const made = () => {
  const reading = new module_reading.Reading(sampler.network, given.parts);
  reading.replace(0, 0, ids);
  return reading;
};
const plain = ({ bits, activations }) => ({ bits: [...bits], activations: [...activations] });
"""


def read(model: TrainedModel, script: str, text: str = TEXT, **given: Any) -> Any:
    """Return the result of a JavaScript body that sees `made()`, a reading of the text."""
    trace = activations.trace_passage(model, model.vocabulary.encode(text))
    parts, _ = report.list_vectors(model, trace)
    given |= {"model": pack_model(model, 32), "parts": parts, "text": text}
    modules = (NETWORK / "network-sampler.js", INSPECT / "reading.js")
    return run(MADE + script, *modules, given=given)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_page_computes_what_python_computes(kind: str) -> None:
    model = make_model(kind, skip="sum" if kind == "gru" else "none")
    script = """
      const [one, slices] = [made(), made()];
      one.work();
      let count = 0;
      while (!slices.isDone) { slices.work(0); count++; }
      return { ...plain(one), count, slices: plain(slices) };
    """
    found = read(model, script)
    assert found["count"] == 1200 / 16
    assert found["slices"] == {name: found[name] for name in found["slices"]}
    bits = np.array(found["bits"], float)
    assert np.isnan(bits[0])
    np.testing.assert_allclose(bits[1:], Model(model).losses(TEXT) / np.log(2), atol=1e-3)
    trace = activations.trace_passage(model, model.vocabulary.encode(TEXT))
    parts, shown = report.list_vectors(model, trace)
    scaled = [values / part["scale"] for part, values in zip(parts, shown, strict=True)]
    steps = np.array(found["activations"]).reshape(len(TEXT), -1)
    np.testing.assert_allclose(steps, 127 * np.concatenate(scaled, 1), atol=1.01)


EDITS = [(0, 0, [3, 4]), (0, 5, []), (640, 700, [1] * 200), (1199, 1200, []), (1200, 1200, [7])]


def test_an_edit_is_what_another_text_would_have_been() -> None:
    script = """
      return given.edits.map(([start, end, inserted]) => {
        const edited = made();
        edited.work();
        edited.replace(start, end, inserted);
        edited.show(Math.max(0, start - 10), Math.min(edited.length, start + 90));
        edited.work();
        const anew = new module_reading.Reading(sampler.network, given.parts);
        anew.replace(0, 0, [...ids.slice(0, start), ...inserted, ...ids.slice(end)]);
        anew.work();
        return [plain(edited), plain(anew)];
      });
    """
    for edited, anew in read(make_model(), script, edits=EDITS):
        assert edited == anew
