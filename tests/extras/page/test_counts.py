"""The counts in JavaScript: a page's network writes and scores with them as Python does."""

from __future__ import annotations

from typing import Any

import pytest

from charrnn.counts.mixing import Weights
from charrnn.extras.page.packing import pack_counts, pack_model
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.extras.page.node import NETWORK, PAGE, run
from tests.generation.models import TEXT, counted

SAMPLER = """const { unpackCounts } = module_counts;
const unpacked = await Promise.all(given.map(([_, counts]) => unpackCounts(counts)));
const samplers = given.map(([model], n) => new module_sampler.Sampler(model, unpacked[n]));
const [sampler] = samplers;
"""


def with_samplers(script: str, *models: TrainedModel) -> Any:
    """What the body of a function returns that sees the `samplers` of models with counts."""
    given = [
        (pack_model(model, 32, {"about": {}}), pack_counts(model.counts))
        for model in models
        if model.counts is not None
    ]
    modules = (NETWORK / "sampler.js", NETWORK / "counts.js", PAGE / "writer-network.js")
    return run(SAMPLER + script, *modules, given=given)


def test_the_same_seed_gives_the_same_text_and_score() -> None:
    signs = Vocabulary([chr(300 + n) for n in range(400)])  # ids that need two bytes
    cycle = "".join(signs.characters[n * n % 400] for n in range(1500))
    models = [
        counted(),
        counted("gru", num_layers=1),
        counted(weights=Weights((0.2, 0.5, 0.1, 0.5), (0.9, 0.1, 0.9, 0.3))),
        counted(text=TEXT * 20),  # counts that do not fit into a byte
        counted(text=cycle, vocabulary=signs),
    ]
    starts = [*[TEXT[:300]] * 4, cycle[:300]]
    found = with_samplers(
        f"""const starts = {starts!r};
        return samplers.map((sampler, n) => {{
          const ask = {{ length: 200, seed: 3, temperature: 1 }};
          return [
            sampler.generate(ask),
            sampler.generate({{ ...ask, start_text: starts[n], top_k: 5 }}),
            sampler.score(starts[n]),
          ];
        }});""",
        *models,
    )
    for model, start, (text, more, score) in zip(models, starts, found, strict=True):
        python = Model(model)
        assert text == python.generate(200, seed=3, temperature=1.0)
        asked = {"start_text": start, "top_k": 5, "seed": 3}
        assert more == python.generate(200, temperature=1.0, **asked)
        assert score == pytest.approx(python.score(start), abs=1e-5)
        assert score != pytest.approx(python.score(start, counts="none"), abs=1e-3)


def test_the_writing_page_shows_the_chances_of_the_mix() -> None:
    model = counted()
    text = "\n" + TEXT[:40]
    likeliest, scored = with_samplers(
        f"""const writer = module_writer_network.createNetworkWriter(sampler);
        return [await writer.findLikeliest("", {text!r}), await writer.score("", {text[1:]!r})];""",
        model,
    )
    p = Model(model).logits(text)
    best = p[-1].argsort()[::-1][:20]
    assert "".join(one["text"] for one in likeliest) == model.vocabulary.decode(best.tolist())
    for id_, one in zip(best, likeliest, strict=True):
        assert one["logprob"] == pytest.approx(float(p[-1][id_]), abs=1e-4)
    # a page reads a newline before a text
    for place, id_ in enumerate(model.vocabulary.encode(text[1:])):
        assert scored[place]["logprob"] == pytest.approx(float(p[place][id_]), abs=1e-4)
