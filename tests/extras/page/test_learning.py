"""A text that the page learns by counting has the counts that Python counts."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.counts.fitting import choose_table
from charrnn.counts.mixing import COUNTS_ONLY, Counts
from charrnn.counts.pairs import count_pairs, number_symbols
from charrnn.counts.passages import TRIED, build_table, count_levels, count_tables
from charrnn.counts.run_lengths import count_runs
from charrnn.counts.words import MAX_LETTERS, count_words, number_letters
from charrnn.extras.page.packing import (
    describe_counts,
    list_counting_constants,
    list_learning_facts,
)
from charrnn.options.datasets import SplitOptions
from charrnn.text import punctuation
from charrnn.text.kinds import is_code, is_list, shuffle_lines
from charrnn.text.preprocessing import compute_split_sizes
from charrnn.text.prompt import choose_primer, get_primer_slice
from charrnn.text.punctuation import describe_punctuation
from charrnn.text.vocabulary import Vocabulary
from charrnn.text.wrap import is_wrapped, join_lines
from tests.extras.page.node import NETWORK, PAGE, run
from tests.text.texts import (
    BEGUN,
    NOT_WRAPPED,
    QUOTED,
    TALES,
    make_paragraphs,
    wrap,
)

WORDS = [
    "L'été", "où", "naïveté", "garçon", "İstanbul", "ışık", "ΟΔΟΣ", "οδός", "Straße", "STRASSE",
    "ẞ", "e\u0301te\u0301", "हिन्दी", "かな", "🙂", "👩\u200d👩\u200d👧", "🇫🇷", "𝔘𝔫𝔦", "\xa0", "—",
    "«", "»", "“no”", "ﬁn", "ǅ", "\ufeff", "x\0y", "donaudampfschifffahrt",
]  # fmt: skip


def write_lines(words: list[str], *ends: str) -> str:
    text, draws = "", random.Random(0)
    for _ in range(300):
        line = " ".join(draws.choices(words, k=draws.randint(2, 14)))
        text += " " * draws.choice((0, 0, 4, 8, 12)) + line + draws.choice(ends)
    return text


SIGNS = [chr(0x4E00 + n) for n in range(600)]
TEXTS = {
    f"a word of more than {MAX_LETTERS} letters": "abcdefghijklmnop cab bac\n" * 300,
    "accents and emoji": write_lines(WORDS, "\n", "\r\n", "\n\n", "-----------\n"),
    "Chinese": "".join(random.Random(0).choices(SIGNS, [1 / (n + 1) for n in range(600)], k=9000)),
    "runs": write_lines(["x = 1", "aaaa", "if"], "\n", "\n" + "=" * 300 + "\n", "\t\t\t\t\n"),
    "two characters": "ab" * 20 + "a" * 20_000 + "b" * 700 + "a" * 90 + "b" * 5000,
    "a list": "".join(
        f"{a}{b}{c}\n" for a in ("Ann", "Bo", "Ün") for b in "aeiou" for c in ("ka", "lo", "mus")
    )
    + "Annaka\nBolo\nÜnumus\n" * 6,
}


@pytest.fixture(params=[*TEXTS, "Shakespeare"])
def text(request: pytest.FixtureRequest) -> str:
    if request.param in TEXTS:
        return TEXTS[request.param]
    data: Path = request.getfixturevalue("reference_data") / "data"
    return (data / "tiny-shakespeare.txt").read_text("utf-8")[:100_000]


def count(text: str) -> tuple[Vocabulary, Counts]:
    """Count the training split of a text."""
    sizes = compute_split_sizes(len(text), SplitOptions())
    if is_list(text):
        splits = shuffle_lines(text, sizes)
        text, sizes = "".join(splits.values()), {name: len(part) for name, part in splits.items()}
    vocabulary = Vocabulary([*dict.fromkeys(text)])
    ids = vocabulary.encode(text)
    train, val, _ = np.split(ids, [sizes["train"], sizes["train"] + sizes["val"]])
    max_letters = 0 if is_list(text) else MAX_LETTERS
    letters = number_letters(vocabulary)
    words = count_words([train], letters, max_letters)
    pairs = words and count_pairs([train], words, number_symbols(vocabulary, letters))
    tables = count_tables(train, len(vocabulary))
    table = choose_table(tables, words, pairs, val[: TRIED + 1])
    runs = count_runs(train, len(vocabulary), table.context)
    return vocabulary, Counts(table, runs, words, pairs, COUNTS_ONLY)


def learn(text: str, script: str) -> Any:
    """Return the result of a script that sees `learnt`, with the training split of Python."""
    order = np.random.default_rng(0).permutation(text.count("\n")).tolist()
    given = {"text": text, "order": order, **list_learning_facts()}
    learnt = """const options = { countsAll: false, order: given.order };
    const learnt = module_learn.learn(given.text, given.counting, () => {}, options);
    """
    return run(learnt + script, NETWORK / "learn.js", given=given)


def test_vocabulary_and_counts_are_pythons(text: str) -> None:
    found = learn(
        text,
        """const arrays = Object.entries(learnt.arrays).map(([name, values]) =>
          [name, [values.constructor.name.toLowerCase().replace("array", ""), [...values]]]);
        return { ...learnt, arrays: Object.fromEntries(arrays) };""",
    )
    vocabulary, counts = count(text)
    assert found["tokens"] == vocabulary.characters
    assert found["isList"] == is_list(text)
    assert found["packed"] == json.loads(json.dumps(describe_counts(counts)))
    expected = counts.to_arrays()
    assert found["arrays"].keys() == expected.keys()
    for name, values in expected.items():
        assert found["arrays"][name] == [values.dtype.name, values.tolist()], name


def test_the_page_counts_the_whole_text() -> None:
    text = TEXTS["accents and emoji"]
    script = """const { learn } = module_learn;
    const { packed, arrays } = learn(given.text, given.constants, () => {});
    return [packed.context, [...arrays.characters], [...arrays.counts], [...arrays.dropped]];"""
    given = {"text": text, "constants": list_counting_constants()}
    context, *found = run(script, NETWORK / "learn.js", given=given)
    vocabulary, counts = count(text)
    assert context == counts.table.context
    ids = vocabulary.encode(text)
    expected = build_table(list(count_levels(ids, len(vocabulary), context)), len(vocabulary))
    arrays = expected.to_arrays()
    assert found == [arrays[name].tolist() for name in ("characters", "counts", "dropped")]


# texts, and where their first sentences end if another word follows
SENTENCES = {
    "He left. So": 8, 'He left."] So': 10, "„Er ging.“ Da": 10, "»Er ging.« Da": 10,
    "« Il dort. » Oui": 12, "“Who am I?” So": 11, "I... So": 4, "是。」他走": 3, "या। वह": 3,
    "e.g": None, ".\nSo it": None, "He left. ": None, "The Mr. Hale. So": 13,
    "In z. B. Rom. Da": 13,
    "J. R. Ewing. So": 12, "Am 3. Mai. Da": 10, "Er usw. und so. Da": 15, "So he did. And": 10,
    "И т. д. и так. Да": 14, "No. 5 is. It": 9,
}  # fmt: skip


def test_sentences_end_as_in_python() -> None:
    exported = re.findall(r"export const (\w+)", (NETWORK / "sentence-ends.js").read_text("utf-8"))
    names = [name for name in exported if name != "SENTENCE_END"]
    assert len(names) == 5
    script = "return given.map((name) => module_sentence_ends[name]);"
    found = run(script, NETWORK / "sentence-ends.js", given=names)
    assert found == json.loads(json.dumps([getattr(punctuation, name) for name in names]))
    script = "return given.map((text) => module_ending.findSentenceEnd(text));"
    assert run(script, PAGE / "ending.js", given=[*SENTENCES]) == [*SENTENCES.values()]
    texts = [*SENTENCES, *TEXTS.values(), *BEGUN]
    script = """const end = new RegExp(module_sentence_ends.SENTENCE_END, "gu");
    return given.map((text) => [...text.matchAll(end)].map((found) => found[0]));"""
    found = run(script, NETWORK / "sentence-ends.js", given=texts)
    assert found == [re.findall(punctuation.SENTENCE_END, text) for text in texts]


def test_the_primer_is_pythons() -> None:
    texts = [*BEGUN, TEXTS["Chinese"], "", "a", "ab" * 90_000]
    script = "return given.map((text) => module_text_kinds.findPrimer(text));"
    for text, found in zip(texts, run(script, NETWORK / "text-kinds.js", given=texts), strict=True):
        chosen = choose_primer(text[get_primer_slice(len(text))])
        assert found == chosen + "\n" * ("\n" in text and not chosen.endswith("\n"))


def test_punctuation_is_pythons() -> None:
    texts = [*QUOTED, *TEXTS.values(), "".join(TEXTS.values())]
    given = {"texts": texts, "constants": list_counting_constants()["punctuation"]}
    script = """return given.texts.map((text) =>
      module_punctuation.describePunctuation([...text], given.constants));"""
    found = run(script, NETWORK / "punctuation.js", given=given)
    assert found == [describe_punctuation(text) for text in texts]


def test_wrapped_prose_is_joined_as_in_python() -> None:
    wrapped = [
        wrap(make_paragraphs(language, count=40), *how)
        for language in TALES
        for how in ((60,), (66, "   ", "\n"), (72,))
    ]
    cut = wrapped[0].replace("the", "remem-\nber--\nin", 9).replace("e\n", "e-\n", 9)
    others = [
        text.replace("\ufeff", "") for text in TEXTS.values()
    ]  # white space in JavaScript only
    texts = [*wrapped, cut, *NOT_WRAPPED.values(), *others, "", "\n"]
    script = """const { isWrapped, joinLines } = module_wrap;
    return given.texts.map((text) => 
      [isWrapped(text, given.constants), joinLines(text, given.constants)]);"""
    given = {"texts": texts, "constants": list_counting_constants()}
    found = run(script, NETWORK / "wrap.js", given=given)
    assert found == [[is_wrapped(text), join_lines(text)] for text in texts]
    assert found[0][0]


def test_lists_and_code_are_recognized_as_in_python() -> None:
    code = "def f(x):\n    if x:\n        return {}\n"
    texts = [*TEXTS.values(), "", "\n" * 99, "no line end" * 9000, "1\n2\n3\n" * 40, code]
    given = {"texts": texts, "constants": list_counting_constants()}
    script = """const { isCode, isList } = module_text_kinds;
    const { constants } = given;
    return given.texts.map((text) => [isList(text, constants.lists), isCode(text, constants)]);"""
    found = run(script, NETWORK / "text-kinds.js", given=given)
    assert found == [[is_list(text), is_code(text)] for text in texts]
    assert found[-1] == [False, True]
