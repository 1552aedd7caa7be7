"""The network in JavaScript does what the one in Python does: the same text, scores and states."""

from __future__ import annotations

import base64
import shutil
import string
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.counts.mixing import Weights
from charrnn.extras.page.packing import list_checksums, pack, pack_model
from charrnn.extras.page.rounding import RoundedModel, quantize_weights
from charrnn.generation.numpy_network import fold_weights
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.options.cells import CELLS
from charrnn.text.punctuation import PUNCTUATION_FACT
from charrnn.text.vocabulary import Vocabulary
from tests.extras.page.node import NETWORK, run
from tests.generation.definition import FILTERS, list_next_words
from tests.generation.models import (
    TEXT,
    make_counted_model,
    make_model,
    with_background,
)

STACKS: list[dict[str, Any]] = [
    {"num_layers": 1},
    {"num_layers": 3, "hidden_size": 37},  # fills no panel of the kernel
    {"batchnorm": True},
    {"num_layers": 3, "skip": "sum"},
    {"num_layers": 3, "skip": "sum", "batchnorm": True},
]
VOCABULARIES = [
    Vocabulary(["\n", "<", "\0", "\u2028", '"', "\\", "é", "ש", "漢", "🚀"]),
    Vocabulary(list(string.ascii_lowercase)),  # no line break
    Vocabulary([bytes([b]).decode("ascii", "surrogateescape") for b in range(256)]),
]
HOW: list[dict[str, Any]] = [
    {"temperature": 1},
    {"temperature": 0},
    *({name: value} for name, values in FILTERS.items() for value in values),
    {"min_p": 0.2, "temperature": 1.5},
    {"temperature": 0.3, "dry_multiplier": 0.8, "dry_base": 2, "dry_allowed_length": 2},
    {"temperature": 0, "dry_multiplier": 5, "dry_allowed_length": 3, "start_text": "abcdabc"},
    {"seed": 2**63 - 1},
    {"seed": 0, "start_text": "Hm: "},
    {"seed": 0, "start_text": "‘Hm’ – a"},
    {"until": "e", "start_text": "The e"},
]


def pack_whole(model: TrainedModel, bits: int = 32) -> str:
    """Return a packed model in base64."""
    weights = fold_weights(model)
    if bits < 32:
        weights = quantize_weights(weights, bits)
    return base64.b64encode(pack_model(RoundedModel(model, weights, bits))).decode()


def with_models(script: str, models: list[TrainedModel], asked: list[Any], bits: int = 32) -> Any:
    """Return the result of a JavaScript body that sees the `models`, and `asked`."""
    opened = """const models = await Promise.all(given.models.map(module_model.Model.unpack));
    const { asked } = given;
    """
    given = {"models": [pack_whole(model, bits) for model in models], "asked": asked}
    return run(opened + script, NETWORK / "model.js", given=given)


def generate(model: TrainedModel, *asked: dict[str, Any], bits: int = 32) -> Any:
    """Generate texts with the page's network. In JavaScript large seeds are BigInts."""
    script = """return asked.map(([seed, how]) =>
      models[0].generate({ length: 300, ...how, seed: BigInt(seed) }));"""
    each = [(str(one.get("seed", 3)), one) for one in asked]
    return with_models(script, [model], each, bits)


def generate_in_python(model: TrainedModel, *asked: dict[str, Any]) -> list[str]:
    return [Model(model).generate(**{"length": 300, "seed": 3, **one}) for one in asked]


@pytest.mark.parametrize("kind", CELLS)
def test_the_same_seed_gives_the_same_text(kind: str) -> None:
    models = [make_model(kind, **stack) for stack in STACKS]
    script = "return models.map((model) => model.generate({ length: 300, seed: 3 }));"
    assert with_models(script, models, []) == [generate_in_python(m, {})[0] for m in models]


@pytest.mark.skipif(not shutil.which("wat2wasm"), reason="there is no wat2wasm here (wabt)")
def test_the_routines_are_assembled_from_their_source(tmp_path: Path) -> None:
    output = tmp_path / "routines.wasm"
    subprocess.run(["wat2wasm", NETWORK / "routines.wat", "-o", output], check=True)
    found = run("return module_routines.ROUTINES;", NETWORK / "routines.js")
    assert base64.b64decode(found) == output.read_bytes()


def test_the_page_samples_like_python_for_every_parameter() -> None:
    model = replace(make_model(), facts={"primer": "To be,\nor not to be.\n"})
    assert generate(model, *HOW) == generate_in_python(model, *HOW)
    script = "return asked.map((sample) => models[0].generate({ length: 200, seed: 5, sample }));"
    found = with_models(script, [model], [0, 1, 2])
    assert found == Model(model).generate(200, num_samples=3, seed=5)


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=["strange", "letters", "bytes"])
def test_a_page_writes_any_characters(vocabulary: Vocabulary) -> None:
    model = make_model("gru", vocabulary=vocabulary)
    start = "Zür 漢🚀\n\udcff" if vocabulary.is_bytes else vocabulary.characters[3] * 2
    asked = [{}, {"start_text": start}]
    assert generate(model, *asked) == generate_in_python(model, *asked)
    banned = vocabulary.decode(range(len(vocabulary) - 3))
    limits = [{"ban": banned, "seed": seed} for seed in range(9)]
    limits.append({"until": vocabulary.decode([5])})
    assert generate(model, *limits) == generate_in_python(model, *limits)


@pytest.mark.parametrize("bits", [5, 8])
def test_rounded_weights_are_those_of_the_rounded_model(bits: int) -> None:
    """Check the text of a model whose weights are those of another, folded and rounded."""
    model = make_model(num_layers=1)
    rounded = unfold(model, bits)
    assert generate(model, {}, bits=bits) == generate_in_python(rounded, {})


def unfold(model: TrainedModel, bits: int) -> TrainedModel:
    """Return a model of one layer whose weights are the rounded ones: its embedding is one-hot."""
    folded, V = quantize_weights(fold_weights(model), bits), len(model.vocabulary)
    weights = {
        "embedding.weight": np.eye(V, dtype=np.float32),
        "recurrent.0.weight_ih_l0": folded.table.T,
        "recurrent.0.weight_hh_l0": folded.recurrent[0],
        "recurrent.0.bias_ih_l0": np.zeros(len(folded.recurrent[0]), np.float32),
        "recurrent.0.bias_hh_l0": np.zeros(len(folded.recurrent[0]), np.float32),
        "decoder.weight": folded.decoder,
        "decoder.bias": folded.decoder_bias,
    }
    architecture = replace(model.architecture, embedding_size=V)
    return replace(model, architecture=architecture, weights=weights)


def test_the_page_recognizes_the_lines_of_the_training_text() -> None:
    lines = ["Ein anderes.", "Zoë 🚀", "", "new"]
    text = "Ein anderes. \nZoë 🚀\n\n"
    script = """const { header, arrays } = await module_packed.unpack(given.packed);
    const known = [arrays.lines, module_lines.listChecksums(given.text)].map((differences) =>
      given.lines.map((line) => new module_lines.Lines(differences).has(line)));
    const again = await module_packed.unpack(await module_packed.pack(header, arrays));
    return [...known, again.header.about, [...again.arrays.lines]];"""
    packed = base64.b64encode(pack({"about": 1}, list_checksums(text))).decode()
    given = {"packed": packed, "lines": lines, "text": text}
    *known, about, again = run(script, NETWORK / "lines.js", NETWORK / "packed.js", given=given)
    assert known == 2 * [[True, True, True, False]]
    assert (about, again) == (1, list_checksums(text)["lines"].tolist())


def test_copies_are_the_passages_of_the_training_text() -> None:
    text = "It was a dark and stormy night; the rain fell in torrents, except at intervals."
    copy = text[7:47]
    texts = [copy, f"And:{copy}!", copy[:29], "a dark and stormy day; the rain fell", "ab" * 40]
    script = """const copies = new module_copies.Copies(given.text);
    return given.texts.map((text) => copies.find(text, 30));"""
    found = run(script, NETWORK / "copies.js", given={"text": text, "texts": texts})
    assert found == [[[0, 40]], [[4, 44]], [], [], []]


def test_a_text_instead_of_a_copy_is_no_other_text() -> None:
    script = """const sampler = { vocabulary: { makeDecoder: () => (id) => String(id) },
      *write(state, params, uniforms) { while (true) yield Math.floor(10 * uniforms.next()); } };
    const request = { seed: 1, n: 2, params: {}, max_tokens: 20 };
    const write = (index, copy) => {
      const copies = { find: (text) => (text === copy ? [[0, 20]] : []) };
      const one = new module_continuation.Continuation(sampler, {}, request, index, copies);
      while (!one.isDone) one.writePiece();
      return one.text;
    };
    return [write(0), write(0, write(0)), write(1)];"""
    assert len({*run(script, NETWORK / "continuation.js")}) == 3


# -- counts, known words and debts -----------------------------------------------------------

BACKGROUND = "The cats congratulate; a hat congratulates Constantinople? A cathedral that is it!\n"
ALL_BYTES = VOCABULARIES[2]
OF_WORDS = [
    "", "The cat sat on the xqkw", "What a mat", "The ca", "Caaaaaaa", "The congratulate",
    "The congratulates", "Caaaaa", "The hat, \n", "What!", "a mat   ",
]  # fmt: skip
OPTIONS: list[dict[str, Any]] = [
    *({"temperature": t, "new_words": w} for t in (0.3, 0.8, 0.9, 1.0) for w in (None, 0, 1)),
    {"temperature": 0, "new_words": 0},
    *({"top_k": 1, "temperature": 1, "start_text": s} for s in ("", "That c", "Wh", "s", "f")),
    {"temperature": 0.4, "top_k": 5, "ban": "ae.", "dry_multiplier": 2, "dry_allowed_length": 2},
    {"temperature": 0.5, "new_words": 0, "ban": " \n,.;!?'"},
    {"temperature": 0.2, "until": "\n", "new_words": 0.01},
    {"temperature": 1e-300},
    *({"start_text": "congratulate", "new_words": 0, "seed": seed} for seed in range(4)),
]  # fmt: skip


def make_models_with_counts() -> list[TrainedModel]:
    signs = Vocabulary([chr(300 + n) for n in range(400)])  # ids that need two bytes
    cycle = "".join(signs.characters[n * n % 400] for n in range(1500))
    bytes_text = ALL_BYTES.as_tokens("Żółw ma żółtą łódź. Jaź!\n" * 40)
    wordless = make_counted_model(weights=Weights((0.5,) * 4, (0.5,) * 4))
    return [
        make_counted_model(weights=Weights((0.2, 0.5, 0.1, 0.5), (0.9, 0.1, 0.9, 0.3))),
        make_counted_model(text=TEXT * 20),  # counts that do not fit into a byte
        make_counted_model(text=cycle, vocabulary=signs),
        make_counted_model(text=bytes_text, vocabulary=ALL_BYTES),
        # no newline: the first character is drawn evenly
        make_counted_model(text="thecatsatonthemat" * 20, vocabulary=VOCABULARIES[1]),
        with_background(make_counted_model("gru", num_layers=1), BACKGROUND),
        with_background(wordless, BACKGROUND),
        make_model(conviction=2.0),
        with_punctuation(make_model(conviction=1.0, vocabulary=Vocabulary(list(' \n.!?ab"“”()')))),
    ]


def with_punctuation(model: TrainedModel) -> TrainedModel:
    """Add how the model's text uses its marks, of which the vocabulary has not all."""
    described = {"shares": {".": 0.05, "?": 0.0}, "pairs": ['""', "“”", "()", "»«"]}
    return replace(model, facts={PUNCTUATION_FACT: described})


def test_with_counts_the_text_and_the_score_are_the_same() -> None:
    models, asked = make_models_with_counts(), []
    for n, model in enumerate(models):
        for m, options in enumerate(OPTIONS):
            start = options.get("start_text", OF_WORDS[(m + 3 * n) % len(OF_WORDS)])
            known = "".join(character for character in start if character in model.vocabulary)
            asked.append({"length": 150, "seed": m, **options, "start_text": known})
    texts, scores = with_models(
        f"""const texts = asked.map((each, n) =>
          models[Math.floor(n / {len(OPTIONS)})].generate(each));
        return [texts, models.map((model, n) => model.score(texts[n * {len(OPTIONS)}]))];""",
        models,
        asked,
    )
    for n, (options, text) in enumerate(zip(asked, texts, strict=True)):
        assert text == Model(models[n // len(OPTIONS)]).generate(**options), (n, options)
    for model, text, score in zip(models, texts[:: len(OPTIONS)], scores, strict=True):
        assert score == pytest.approx(Model(model).score(text), abs=1e-5)


NAMES = "Anna Abel\nBerta Brandt\nEmil Ebert\nHans Abel\n" * 20
NEXT: list[tuple[TrainedModel, str, int]] = [
    *((make_model(kind), s, 5) for kind in CELLS for s in ("th", "the", "the ")),
    *((make_counted_model(), start, 8) for start in ("Th", "The", "The ", "What ", ";")),
    (make_counted_model(text=NAMES), "\n", 6),
    *((make_model(vocabulary=VOCABULARIES[n]), start, 6) for n, start in enumerate("éaa")),
    (make_model(vocabulary=Vocabulary(list(" 12"))), "1", 99),
]


def test_the_next_words_are_the_likeliest_of_all() -> None:
    found = with_models(
        """return models.map(({ sampler: { network, vocabulary } }, n) => {
          const [ids, k] = asked[n];
          const state = network.zeroState();
          let logits;
          for (const id of ids) logits = network.step(id, state);
          const before = state.slice();
          const words = module_next_words.findNextWords(network, vocabulary, logits, state, k);
          if (before.some((value, n) => value !== state[n])) throw new Error("a changed state");
          return words;
        });""",
        [model for model, _, _ in NEXT],
        [(model.vocabulary.encode(start).tolist(), k) for model, start, k in NEXT],
    )
    for (model, start, k), words in zip(NEXT, found, strict=True):
        expected = list_next_words(Model(model), start, k)
        assert [one["text"] for one in words] == [word for word, _ in expected]
        shares = [one["probability"] for one in words]
        assert shares == pytest.approx([share for _, share in expected], abs=1e-4)
