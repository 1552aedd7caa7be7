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
    modules = (NETWORK / "network-sampler.js", INSPECT / "reading.js", INSPECT / "writing.js")
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


@pytest.mark.parametrize(("unit", "value"), [(5, 0), (5, 0.5), (24 + 5, 0), (72 + 3, -0.8)])
def test_a_held_unit_shows_its_value_and_can_be_let_go(unit: int, value: float) -> None:
    script = """
      const one = made();
      one.work();
      const before = plain(one);
      one.hold(given.unit, given.value);
      one.work();
      const held = plain(one);
      const changes = ids.map((_, place) => one.getChange(place));
      one.hold(given.unit, null);
      one.work();
      return { before, held, changes, after: plain(one), change: one.getChange(500) };
    """
    found = read(make_model(), script, unit=unit, value=value)
    steps = np.array(found["held"]["activations"]).reshape(len(TEXT), -1)
    assert set(steps[:, unit]) <= {round(127 * value), int(127 * 0.999 * value)}
    bits = [np.array(found[name]["bits"], float) for name in ("before", "held")]
    np.testing.assert_allclose(found["changes"][1:], (bits[1] - bits[0])[1:], atol=1e-4)
    assert np.abs(found["changes"]).max() > 0.01
    assert found["after"] == found["before"]
    assert found["change"] == 0


def test_an_unknown_character_is_stepped_over() -> None:
    script = """
      const one = made();
      one.replace(500, 500, [-1]);
      one.work();
      const other = made();
      other.work();
      const [bits, free] = [one, other].map((reading) => [...reading.bits]);
      return { unknown: bits.splice(500, 1), bits, free, after: one.predict(501, 1),
        known: other.predict(500, 1) };
    """
    found = read(make_model(), script)
    assert found["unknown"] == [None]
    assert found["bits"] == found["free"]
    assert found["after"] == found["known"]
