"""The network in JavaScript does what the one in Python does: the same text, scores and states."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import Any

import pytest

from charrnn.counts.known_words import KnownWords
from charrnn.counts.mixing import Weights
from charrnn.counts.words import number_letters
from charrnn.extras.page.packing import list_page_kinds, pack_counts, pack_model
from charrnn.generation.int8_rows import quantize_model
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.extras.page.node import NETWORK, PAGE, run, with_sampler
from tests.generation.definition import FILTERS
from tests.generation.models import TEXT, blank_model, make_counted_model, make_model

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
    Vocabulary([bytes([b]).decode("ascii", "surrogateescape") for b in range(256)], is_bytes=True),
]
HOW: list[dict[str, Any]] = [
    {"temperature": 1},
    {"temperature": 0},
    *({name: value} for name, values in FILTERS.items() for value in values),
    {"top_p": 0.9, "top_k": 9},
    {"min_p": 0.2, "temperature": 1.5},
    {"temperature": 0.3, "dry_multiplier": 0.8, "dry_base": 2, "dry_allowed_length": 2},
    {"temperature": 0, "dry_multiplier": 5, "dry_allowed_length": 3, "start_text": "abcdabc"},
    {"seed": 2**63 - 1},
    {"seed": 2**32},
    {"seed": 2**40, "prime": "none"},
    {"seed": 0, "start_text": "Hm: "},
    {"seed": 0, "start_text": "‘Hm’ – a"},
    {"ban": "eaoé "},
    {"temperature": 0, "ban": "e", "logit_bias": {"e": 100, "aou": 1.37, "\n": -3}},
    {"logit_bias": {"t": 2.3, "th": -1.1, "é": 5}, "dry_multiplier": 2, "dry_allowed_length": 2},
    {"until": "e", "start_text": "The e"},
    {"until": "never written"},
]
REFUSED = [
    *(
        ({name: value}, f"{name}: must be")
        for name, value in {
            "length": 1.5, "temperature": -1, "top_k": 0, "top_p": 1.1, "min_p": -0.1,
            "new_words": 1.01, "dry_multiplier": -1, "dry_base": 0.5, "dry_allowed_length": 0,
            "prime": "nothing",
        }.items()
    ),
    ({"logit_bias": {"e": 101}}, "logit_bias: must have"),
    ({"until": ""}, "until: must not"),
    ({"newwords": 0}, "newwords: no such option"),
    ({"ban": "\n" + "".join(map(chr, range(32, 127)))}, "ban: every character"),
    ({"seed": -1}, "seed: must be"),
    ({"start_text": "Zür"}, "U+00FC"),
]  # fmt: skip


def generate(model: TrainedModel, *asked: dict[str, Any], bits: int = 32) -> Any:
    """Generate texts with the page's network. In JavaScript large seeds are BigInts."""
    each = [
        json.dumps({"length": 300, "seed": 3, **one}).replace(
            f'"seed": {one.get("seed", 3)}', f'"seed": {one.get("seed", 3)}n'
        )
        for one in asked
    ]
    return with_sampler(
        model, f"return [{', '.join(each)}].map((asked) => sampler.generate(asked));", bits
    )


def generate_in_python(model: TrainedModel, *asked: dict[str, Any]) -> list[str]:
    return [Model(model).generate(**{"length": 300, "seed": 3, **one}) for one in asked]


@pytest.mark.parametrize("kind", list_page_kinds())
def test_the_same_seed_gives_the_same_text_with_webassembly_and_without(kind: str) -> None:
    models = [make_model(kind, **stack) for stack in STACKS]
    found = run(
        """const { createSampler } = module_network_sampler;
        const write = () => given.map((packed) => createSampler(packed)).map((sampler) =>
          [sampler.network.kernel.usesWebAssembly, sampler.generate({ length: 300, seed: 3 })]);
        const fast = write();
        delete globalThis.WebAssembly;
        return [fast, write()];""",
        NETWORK / "network-sampler.js",
        given=[pack_model(model, 32) for model in models],
    )
    texts = [generate_in_python(model, {})[0] for model in models]
    assert found == [[[is_fast, text] for text in texts] for is_fast in (True, False)]


def test_the_page_samples_like_python_for_every_parameter() -> None:
    model = replace(make_model(), facts={"primer": "To be,\nor not to be.\n"})
    assert generate(model, *HOW) == generate_in_python(model, *HOW)
    script = "return [0, 1, 2].map((sample) => sampler.generate({ length: 200, seed: 5, sample }));"
    assert with_sampler(model, script) == Model(model).generate(200, num_samples=3, seed=5)


def test_runs_of_blanks_end_as_in_python() -> None:
    starts = ("", "a  ", "a   ", "a\t\t\t", " \t ")
    limits = ({}, {"min_p": 1}, {"top_k": 1}, {"temperature": 2, "top_p": 0.1}, {"temperature": 0})
    asked = [{"start_text": start, **each} for start in starts for each in limits]
    asked += [{"start_text": "a" + n * " ", "min_p": 1, "seed": n} for n in range(1, 41)]
    for model in (blank_model(), blank_model("\t")):
        assert generate(model, *asked) == generate_in_python(model, *asked)


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=["strange", "letters", "bytes"])
def test_a_vocabulary_of_any_characters(vocabulary: Vocabulary) -> None:
    model = make_model("gru", vocabulary=vocabulary)
    start = "Zür 漢🚀\n\udcff" if vocabulary.is_bytes else vocabulary.characters[3] * 2
    asked = [{}, {"start_text": start}]
    assert generate(model, *asked) == generate_in_python(model, *asked)
    banned = vocabulary.decode(range(len(vocabulary) - 3))
    limits = [{"ban": banned, "seed": seed} for seed in range(9)]
    limits.append({"until": vocabulary.decode([5]), "logit_bias": {vocabulary.decode([6]): 3}})
    assert generate(model, *limits) == generate_in_python(model, *limits)


def test_the_page_refuses_unknown_parameters_and_ranges() -> None:
    found = with_sampler(
        make_model(),
        f"""return {json.dumps([asked for asked, _ in REFUSED])}.map((asked) => {{
          try {{ return sampler.generate({{ length: 3, ...asked }}); }} catch (error) {{
            return error.message;
          }}
        }});""",
    )
    for (_, part), message in zip(REFUSED, found, strict=True):
        assert part in message


def test_rounded_weights_are_those_of_the_rounded_model() -> None:
    model = make_model(batchnorm=True)
    assert generate(model, {}, bits=8) == generate_in_python(quantize_model(model), {})


# -- counts --------------------------------------------------------------------------------------

SAMPLER = """const { unpackCounts } = module_counts;
const unpacked = await Promise.all(given.map(([_, counts]) => unpackCounts(counts)));
const { createSampler } = module_network_sampler;
const samplers = given.map(([model], n) => createSampler(model, unpacked[n]));
const [sampler] = samplers;
"""


def with_samplers(script: str, *models: TrainedModel) -> Any:
    """Return the result of a JavaScript body that sees the `samplers` of models with counts."""
    given = [
        (pack_model(m, 32, {"about": {}}), pack_counts(m.counts) if m.counts else "null")
        for m in models
    ]
    modules = (NETWORK / "network-sampler.js", NETWORK / "counts.js", PAGE / "writer-network.js")
    return run(SAMPLER + script, *modules, given=given)


def test_with_counts_the_text_and_the_score_are_the_same() -> None:
    signs = Vocabulary([chr(300 + n) for n in range(400)])  # ids that need two bytes
    cycle = "".join(signs.characters[n * n % 400] for n in range(1500))
    models = [
        make_counted_model(),
        make_counted_model("gru", num_layers=1),
        make_counted_model(weights=Weights((0.2, 0.5, 0.1, 0.5), (0.9, 0.1, 0.9, 0.3))),
        make_counted_model(text=TEXT * 20),  # counts that do not fit into a byte
        make_counted_model(text=cycle, vocabulary=signs),
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


# -- known words and debts ------------------------------------------------------------------------

BACKGROUND = "The cats congratulate; a hat congratulates Constantinople? A cathedral that is it!\n"
ALL_BYTES = VOCABULARIES[2]
OF_WORDS = [
    "", "The cat sat on the xqkw", "What a mat", "The ca", "Caaaaaaa", "The congratulate",
    "The congratulates", "Caaaaa", "The hat, \n", "What!", "a mat   ",
]  # fmt: skip
OPTIONS: list[dict[str, Any]] = [
    *({"temperature": t, "new_words": w} for t in (0.3, 0.5, 0.8, 0.9, 1.0)
      for w in (None, 0, 0.3, 1)),
    {"temperature": 0, "new_words": 0},
    *({"top_k": 1, "temperature": 1, "start_text": s} for s in ("", "That c", "Wh", "s", "f")),
    {"temperature": 1.5},
    {"temperature": 0.4, "top_k": 5, "ban": "ae.", "dry_multiplier": 2, "dry_allowed_length": 2},
    {"temperature": 0.5, "new_words": 0, "ban": " \n,.;!?'", "logit_bias": {"t": 3}},
    {"temperature": 0.7, "top_p": 0.6, "top_k": 4, "min_p": 0.1, "logit_bias": {"\n .!": -1}},
    {"temperature": 0.2, "until": "\n", "new_words": 0.01, "prime": "none"},
    {"temperature": 1e-300},
    {"temperature": 1e-300, "logit_bias": {"\n.!?": -100}},
    *({"start_text": s, "new_words": 0, "seed": n} for n, s in enumerate(["", "congratulate"] * 5)),
]  # fmt: skip


def with_background(model: TrainedModel, background: str = BACKGROUND) -> TrainedModel:
    """Make a model with the words of the text and of its background."""
    assert model.counts is not None
    encode, letters = model.vocabulary.encode, number_letters(model.vocabulary)
    known = KnownWords.from_texts([encode(TEXT), encode(background)], letters)
    return replace(model, counts=replace(model.counts, background_words=known))


def make_known_word_models() -> list[TrainedModel]:
    """Make models that know words, of a table or of a background too."""
    bytes_text = ALL_BYTES.as_tokens("Żółw ma żółtą łódź. Jaź!\n" * 40)
    letters = make_counted_model(text="thecatsatonthemat" * 20, vocabulary=VOCABULARIES[1])
    return [
        make_counted_model(),
        with_background(make_counted_model("gru")),
        with_background(
            make_counted_model(weights=Weights((0.5,) * 4, (0.5,) * 4))
        ),  # without a table
        make_counted_model(text=bytes_text, vocabulary=ALL_BYTES),
        letters,  # no newline: the first character is drawn evenly
        make_model(conviction=2.0),
    ]


def test_words_are_invented_and_ends_are_owed_as_in_python() -> None:
    models = make_known_word_models()
    asked: list[dict[str, Any]] = []
    for n, model in enumerate(models):
        for m, options in enumerate(OPTIONS):
            start = OF_WORDS[(m + 3 * n) % len(OF_WORDS)]
            each = {"length": 150, "seed": m, "start_text": start, **options}
            known = [c for c in each["start_text"] if c in model.vocabulary]
            asked.append({**each, "start_text": "".join(known)})
    found = with_samplers(
        f"""const asked = {json.dumps(asked)};
        return asked.map((each, n) => samplers[Math.floor(n / {len(OPTIONS)})].generate(each));""",
        *models,
    )
    assert len(asked) > 150
    for n, (options, text) in enumerate(zip(asked, found, strict=True)):
        assert text == Model(models[n // len(OPTIONS)]).generate(**options), (n, options)


def test_the_writing_page_shows_the_chances_of_the_mix() -> None:
    model = make_counted_model()
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


# -- next words ----------------------------------------------------------------------------------

UNCOUNTED = """const { findNextWords } = module_next_words;
return given.map(([model, ids, k]) => {
  const { network, vocabulary } = module_network_sampler.createSampler(model);
"""
COUNTED = """const { findNextWords } = module_next_words;
const { unpackCounts } = module_counts;
const counts = await Promise.all(given.map(([model, ids, k, packed]) => unpackCounts(packed)));
return given.map(([model, ids, k], n) => {
  const { network, vocabulary } = module_network_sampler.createSampler(model, counts[n]);
"""
FIND = """
  const state = network.zeroState();
  let logits;
  for (const id of ids) logits = network.step(id, state);
  const before = state.slice();
  const words = findNextWords(network, vocabulary, logits, state, k);
  if (before.some((value, place) => value !== state[place])) throw new Error("a changed state");
  return words;
});"""
NAMES = "Anna Abel\nBerta Brandt\nEmil Ebert\nHans Abel\n" * 20


@pytest.mark.parametrize(
    ("script", "model", "start_text", "k"),
    [
        *((UNCOUNTED, make_model(kind), start, 5)
          for kind in list_page_kinds() for start in ("th", "the", "the ")),
        *((COUNTED, make_counted_model(kind), start, 8)
          for kind in ("lstm", "gru") for start in ("Th", "The", "The ", "What ", ";")),
        (COUNTED, make_counted_model(text=NAMES), "\n", 6),
        (UNCOUNTED, make_model(vocabulary=VOCABULARIES[0]), "é", 6),
        (UNCOUNTED, make_model(vocabulary=VOCABULARIES[1]), "a", 6),
        (UNCOUNTED, make_model(vocabulary=VOCABULARIES[2], conviction=2.0), "a", 6),
        (UNCOUNTED, make_model(vocabulary=Vocabulary(list(" 12"))), "1", 99),
        (UNCOUNTED, make_model(conviction=2.0), "a", 500),  # reads no more than 200 prefixes
    ],
)  # fmt: skip
def test_the_next_words_are_pythons(
    script: str, model: TrainedModel, start_text: str, k: int
) -> None:
    ids = model.vocabulary.encode(start_text).tolist()
    counts = [pack_counts(model.counts)] if model.counts else []
    modules = [NETWORK / name for name in ("network-sampler.js", "counts.js", "next-words.js")]
    [found] = run(script + FIND, *modules, given=[(pack_model(model, 32), ids, k, *counts)])
    generate_in_python = Model(model).next_words(start_text, k)
    assert [one["text"] for one in found] == [word for word, _ in generate_in_python]
    for one, (_, p) in zip(found, generate_in_python, strict=True):
        assert one["probability"] == pytest.approx(p, abs=1e-4)
