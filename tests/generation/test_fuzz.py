"""Random models, texts and params: every engine predicts and draws as the definition does.

The network in JavaScript is held to NumPy's in tests/extras/page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.counts.mixing import COUNTS_ONLY, Counts, Weights
from charrnn.generation.engines import make_engine
from charrnn.model import Model
from charrnn.models.trained import TrainedModel, zero_state
from charrnn.options.cells import CELLS
from charrnn.options.sampling import SamplingParams
from charrnn.text.punctuation import PUNCTUATION_FACT
from charrnn.text.vocabulary import Vocabulary
from tests.generation import definition
from tests.generation.models import counts_of, make_model, make_torch_engine, make_torch_model

LENGTH = 40


class Case:
    """Make everything that one seed stands for.

    Attributes:
        counted: ids of the text that the model's counts are of; [] where it has none.
        words: the known words and pairs.
        shares, pairs: how its text uses its marks.
    """

    def __init__(self, seed: int) -> None:
        self.numbers = numbers = np.random.default_rng(seed)
        size = int(numbers.choice([2, 3, 7, 7, 40, 40, 65, 65, 300, 300]))
        # the newline is the first, so that a text without a start has one before it
        letters = (chr(0x100 + n if n % 3 else 0x2500 + n) for n in range(size - 1))
        self.vocabulary = Vocabulary(["\n", *' \t.!"()', *letters][:size])
        self.loves_blanks = seed % 2
        self.counted: list[int] = []
        self.words: definition.Words | None = None
        counts = self._counts(size) if numbers.random() < 0.5 else None
        self.shares = {".": 0.02, "!": 0.0} if numbers.random() < 0.5 else {}
        self.pairs = [pair for pair in ('""', "()") if numbers.random() < 0.7]
        facts = {PUNCTUATION_FACT: {"shares": self.shares, "pairs": self.pairs}}
        self.model = replace(self._network(seed), counts=counts, facts=facts)

    def _network(self, seed: int) -> TrainedModel:
        numbers = self.numbers
        model = make_model(
            str(numbers.choice(list(CELLS))),
            num_layers=int(numbers.integers(1, 4)),
            hidden_size=int(numbers.choice([1, 2, 5, 16, 33])),
            embedding_size=int(numbers.integers(1, 12)),
            batchnorm=bool(numbers.integers(2)),
            skip=str(numbers.choice(["none", "sum"])),
            vocabulary=self.vocabulary,
            conviction=float(numbers.choice([0.5, 2, 6])),
            seed=seed,
        )
        model.weights["decoder.bias"][1:3] += self.loves_blanks * np.log(len(self.vocabulary))
        return model

    def _counts(self, size: int) -> Counts:
        self.counted = self.ids(int(self.numbers.integers(1, 200))).tolist()
        vector = self.numbers.choice([0.2, 0.7, 1.2], 12)
        vector[8:] *= self.numbers.random() < 0.6
        vector[10:] *= self.numbers.random() < 0.8
        weights = Weights.from_vector(vector)
        if self.numbers.random() < 0.2:
            weights = COUNTS_ONLY
        context = int(self.numbers.integers(1, 8))
        background = [self.ids(100)] if self.numbers.random() < 0.4 else []
        texts = [np.array(self.counted), *background]
        counts = counts_of(texts[0], self.vocabulary, context, weights, *background)
        if counts.words is not None:
            self.words = definition.Words([*map(self.vocabulary.decode, texts)], 6)
            if counts.pairs is None:
                self.words.pairs.clear()
        return replace(counts, runs=counts.runs if self.numbers.random() < 0.8 else None)

    def ids(self, length: int) -> np.ndarray:
        """Draw random characters, or a few of them, or runs, or words."""
        size, style, draw = len(self.vocabulary), self.numbers.integers(6), self.numbers.integers
        if style == 2:
            return np.repeat(draw(0, size, length // 6 + 1), 6)[:length]
        if style < 3 or size < 7:
            return draw(0, min(size, 3) if style == 1 else size, length)
        letters = np.random.default_rng(size).integers(5, size, (8, 9))  # of the same eight words
        parts = []
        for number in draw(0, 8, length):
            marks = draw(0, 5, self.numbers.choice([1, 1, 2, 5]))
            parts += [letters[number, : 1 + number], marks]
        return np.concatenate(parts)[:length]

    def params(self) -> dict[str, Any]:
        pick, letters = self.numbers.choice, self.vocabulary.characters
        how = {
            "temperature": float(pick([0, 0.3, 0.8, 1, 1.5, 4])),
            "sample": bool(self.numbers.random() < 0.9),
            "new_words": pick([None, 0, 0.3, 1]),
        }
        for name, values in definition.FILTERS.items():  # often the neutral one
            how[name] = values[max(0, int(self.numbers.integers(-1, len(values))))]
        if self.numbers.random() < 0.3:
            how["ban"] = letters[int(self.numbers.integers(len(letters)))]
        if self.numbers.random() < 0.2:
            how["until"] = letters[int(self.numbers.integers(len(letters)))]
        if self.numbers.random() < 0.3:
            how |= {"dry_multiplier": 2.0, "dry_base": 1.5, "dry_allowed_length": int(pick([1, 3]))}
        return how


def list_allowed(writer: definition.Writer, logits: np.ndarray, uniform: float) -> Iterator[int]:
    """List the ids that a draw may have: near a boundary, rounding may change it."""
    filters = {name: getattr(writer.params, name) for name in ("top_p", "min_p")}
    for nudge in (1, 1 - 1e-3, 1 + 1e-3):
        nudged = {name: min(value * nudge, 1) for name, value in filters.items() if value}
        each = writer.probabilities(logits, **nudged)
        for near in (uniform, uniform - 1e-4, uniform + 1e-4):
            yield definition.draw_at(each, max(near, 0))


@pytest.mark.parametrize("seed", range(60))
def test_engines_are_the_definition(seed: int) -> None:
    case = Case(seed)
    decode = case.vocabulary.decode
    ids = np.append(case.vocabulary.encode("\n"), case.ids(LENGTH))
    network = replace(case.model, counts=None)
    for name, part in {"the network": network, "the mix with counts": case.model}.items():
        logs, found = definition.log_probabilities(part, ids, case.counted), Model(part)
        losses, message = -logs[np.arange(LENGTH), ids[1:]], f"losses, by PyTorch, of {name}"
        np.testing.assert_allclose(found.losses(decode(ids)), losses, 1e-4, 1e-4, err_msg=message)
        logits = definition.log_softmax(found.logits(decode(ids)).astype(np.float64))
        message = f"logits, by an engine of generation, of {name}"
        np.testing.assert_allclose(logits, logs, atol=2e-4, err_msg=message)
    how, samples, start = case.params(), int(case.numbers.choice([1, 2, 5])), decode(ids[1:20])
    asked: dict[str, Any] = {**how, "seed": seed, "num_samples": samples}
    written = {
        (sample, text)
        for make in (Model, make_torch_model)
        for sample, text in enumerate(make(case.model).generate(LENGTH, start, **asked))
    }
    for sample, text in sorted(written):
        whole = text if len(text) == LENGTH else text + how["until"]
        read = np.concatenate([ids[1:20], case.vocabulary.encode(whole)])
        predicted = definition.log_probabilities(case.model, read, case.counted)[18:-1]
        uniforms = definition.uniforms_of(seed, sample, LENGTH)
        rules = case.words, case.shares, case.pairs
        writer = definition.Writer(SamplingParams(**how), case.vocabulary, start, *rules)
        for character, id_, row, uniform in zip(
            whole, read[19:], predicted, uniforms, strict=False
        ):
            assert id_ in list_allowed(writer, row, uniform), (sample, writer.text, how)
            writer.append(row, character)


@pytest.mark.parametrize("make", [make_engine, make_torch_engine])
@pytest.mark.parametrize("seed", range(60, 72))
def test_a_state_is_all_that_is_carried(seed: int, make: Any) -> None:
    """Compare in parts, in batches and as one stream. A given state does not change."""
    case = Case(seed)
    reader, N = make(case.model), int(case.numbers.choice([1, 3, 6]))
    ids = np.stack([case.ids(LENGTH) for _ in range(N)])
    whole, end = reader.read(ids, zero_state(case.model, N))
    given = reader.advance(ids[:, :11], zero_state(case.model, N))
    kept = [[vectors.copy() for vectors in layer] for layer in given]
    rest, after = reader.read(ids[:, 11:], given)
    np.testing.assert_allclose(rest, whole[:, 11:], atol=1e-3)
    alone, _ = reader.read(ids[-1:], zero_state(case.model, 1))
    np.testing.assert_allclose(alone, whole[-1:], atol=1e-3)
    other = make_torch_engine(case.model).advance(ids, zero_state(case.model, N))
    for one, beside, tolerance in ((after, end, 1e-4), (other, end, 1e-4), (given, kept, 0)):
        for layer, same in zip(one, beside, strict=True):
            for vectors, others in zip(layer, same, strict=True):
                np.testing.assert_allclose(vectors, others, atol=tolerance)
