"""The definition of a model's predictions and of a draw, in float64 and plain Python.

The cells' equations are those of the papers: Hochreiter and Schmidhuber 1997 (with forget gates),
Cho et al. 2014 (but r multiplies the product of h, not h, as in PyTorch). Kneser-Ney's are those of
Chen and Goodman 1999.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count, groupby, takewhile
from typing import Any

import numpy as np

from charrnn.counts.words import number_letters
from charrnn.model import Model
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

Array = np.ndarray
Step = Callable[[Array, Array, Array, Array], tuple[Array, Array]]
# values of each filter: first the neutral one, then one that changes texts
FILTERS: dict[str, tuple[Any, ...]] = {
    "top_k": (None, 3, 1, 1000, 10**9),
    "top_p": (None, 0.5, 1e-9, 0.9, 1.0),
    "min_p": (0.0, 0.3, 0.02, 1.0),
}


# A cell takes what its gates read (..., G H), their recurrent sums in the order of its gates, and
# h and c (..., H). It returns the next h and c.


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm(read: Array, own: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(read + own, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(read: Array, own: Array, h: Array, c: Array) -> tuple[Array, Array]:
    (ar, az, an), (br, bz, bn) = np.split(read, 3, -1), np.split(own, 3, -1)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    return (1 - z) * np.tanh(an + r * bn) + z * h, c


def rnn(read: Array, own: Array, h: Array, c: Array) -> tuple[Array, Array]:
    return np.tanh(read + own), c


EQUATIONS: dict[str, Step] = {"lstm": lstm, "gru": gru, "rnn": rnn}


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def textbook_logits(model: TrainedModel, ids: Array) -> Array:
    """Compute logits (T, V) of one stream from the zero state, by the equations of a cell."""
    a = model.architecture
    w = {name: weight.astype(np.float64) for name, weight in model.weights.items()}
    hidden = [np.zeros(a.hidden_size) for _ in range(a.num_layers)]
    cell = [np.zeros(a.hidden_size) for _ in range(a.num_layers)]
    logits = []
    for id_ in ids:
        x, outputs = w["embedding.weight"][id_], []
        for k in range(a.num_layers):
            read = w[f"recurrent.{k}.weight_ih_l0"] @ x + w[f"recurrent.{k}.bias_ih_l0"]
            own = w[f"recurrent.{k}.weight_hh_l0"] @ hidden[k] + w[f"recurrent.{k}.bias_hh_l0"]
            hidden[k], cell[k] = EQUATIONS[a.kind](read, own, hidden[k], cell[k])
            x = hidden[k]
            if a.batchnorm:
                mean, var = w[f"norms.{k}.running_mean"], w[f"norms.{k}.running_var"]
                x = (x - mean) / np.sqrt(var + 1e-5)
                x = x * w[f"norms.{k}.weight"] + w[f"norms.{k}.bias"]
            outputs.append(x)
        if a.skip == "sum":
            x = sum(outputs)
        logits.append(w["decoder.weight"] @ x + w["decoder.bias"])
    return np.array(logits)


class KneserNey:
    """Counts of a text in dictionaries, by the formulas of charrnn/counts/table.py.

    Args:
        text: ids (n,).
        size: V.
        context: K, the longest context.
    """

    def __init__(self, text: Sequence[int], size: int, context: int) -> None:
        self.size, self.context = size, max(1, min(context, len(text) - 1))
        whole = (-1, *text)  # the start of the text counts as a character before its first one
        ends, lengths = range(1, len(whole) + 1), range(1, self.context + 2)
        each = [whole[end - length : end] for end in ends for length in lengths if length <= end]
        inside = [passage for passage in each if passage[0] >= 0]
        self.known = {(), *(passage for passage in inside if len(passage) <= self.context)}
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for passage in inside:
            if len(passage) > self.context:
                self.counts[passage[:-1]][passage[-1]] += 1
        for passage in {passage for passage in each if len(passage) > 1}:
            self.counts[passage[1:-1]][passage[-1]] += 1

    def probabilities(self, before: Sequence[int]) -> Array:
        """Compute p (V,) of the next character."""
        p = np.full(self.size, 1 / self.size)
        for k in range(min(self.context, len(before)) + 1):
            after = self.counts.get(tuple(before[len(before) - k :]))
            if not after:
                break
            total, discounts = sum(after.values()), self._discounts(k)
            taken = {c: min(n, discounts[min(n, 3) - 1]) for c, n in after.items()}
            p *= sum(taken.values()) / total
            for c, n in after.items():
                p[c] += (n - taken[c]) / total
        return p

    def _discounts(self, k: int) -> tuple[float, ...]:
        return (1, 1.5, 2) if k == self.context else (0.8, 1.15, 1.4)

    def length(self, before: Sequence[int]) -> int:
        """Return the length of the longest known context."""
        K, end = self.context, len(before)
        return max(k for k in range(min(K, end) + 1) if tuple(before[end - k :]) in self.known)


def odds_of_run(
    text: Sequence[int], before: Sequence[int], context: int
) -> tuple[float, bool] | None:
    """Compute the odds that the run at the end of `before` continues.

    The second value is whether no run of the text is longer. None outside of a long run.
    """
    least = max(context, 4)
    runs = [(c, min(len(list(same)), 255)) for c, same in groupby(text)]
    character = before[-1]
    length = min(len(list(takewhile(character.__eq__, reversed(before)))), 255)
    lengths = [n for c, n in runs if c == character and n >= least]
    if length < least or sum(n - least for n in lengths) < 2:
        return None
    longer, equal = (sum(f(n, length) for n in lengths) for f in (operator.gt, operator.eq))
    if not longer and not equal:
        return 1 / 3, True
    return (longer + 0.9) / (equal + 0.1), not longer


def word_before(before: Sequence[int], vocabulary: Vocabulary) -> str:
    """Return the letters at the end of a text, in lower case."""
    letters = [*takewhile(str.isalpha, reversed(vocabulary.decode(before)))]
    return "".join(reversed(letters)).lower()


def words_of(text: str, longest: int) -> dict[str, Counter[str]]:
    """Count the letters after each beginning of a word, and its end, "".

    Of a word with more letters than the longest, one letter more is counted, and no end.
    """
    follows: dict[str, Counter[str]] = defaultdict(Counter)
    for word, after in re.findall(r"([^\W\d_]+)(.?)", text, re.DOTALL):
        if after:
            letters = [*word.lower(), ""][: longest + 1]
            for end, letter in enumerate(letters):
                follows["".join(letters[:end])][letter] += 1
    return follows


def symbols_of(text: str) -> tuple[str, ...]:
    """Return the symbols of the characters of a text in a pair of words."""
    return tuple(" " if c.isspace() else c.lower() for c in text)


def pairs_of(text: str, longest: int) -> dict[Any, Counter[str]]:
    """Count the symbols after each word and each beginning of what follows it, up to END, ""."""
    follows: dict[Any, Counter[str]] = defaultdict(Counter)
    parts = re.split(r"([^\W\d_]+)", text)  # marks, word, marks, word, ..., marks
    for at in range(1, len(parts) - 2, 2):
        first, marks, second, after = parts[at : at + 4]
        if len(marks) <= 4 and max(len(first), len(second)) <= longest and after:
            symbols = (*symbols_of(marks + second), "")
            for end, symbol in enumerate(symbols):
                follows[first.lower(), symbols[:end]][symbol] += 1
    return follows


def pair_before(text: str) -> Any:
    """Return the word before the last marks of a text, and the symbols after it."""
    match = re.search(r"([^\W\d_]+)((?:\W|\d|_)+[^\W\d_]*)\Z", text)
    return match and (match[1].lower(), symbols_of(match[2]))


def has_symbol(character: str, symbol: str) -> bool:
    return not character.isalpha() if not symbol else symbols_of(character) == (symbol,)


def log_probabilities(
    model: TrainedModel, ids: Array, counted: Sequence[int] = (), longest: int = 6
) -> Array:
    """Compute ln p (T, V) of a model, mixed with its counts of the text `counted`.

    `longest` is the most letters of a word in its table.
    """
    logs = log_softmax(textbook_logits(model, ids))
    if model.counts is None:
        return logs
    table, weights, vocabulary = model.counts.table, model.counts.weights, model.vocabulary
    counts = KneserNey(counted, table.vocabulary_size, table.context)
    text = vocabulary.decode(counted)
    words = words_of(text, longest) if model.counts.words is not None else {}
    pairs = pairs_of(text, longest) if model.counts.pairs is not None else {}
    for t in range(len(ids)):
        before = ids[: t + 1].tolist()
        p, run = counts.probabilities(before), None
        if model.counts.runs is not None:
            run = odds_of_run(counted, before, counts.context)
        if run is not None:
            rest = logs[t] if any(weights.network) else np.log(p)
            rest[before[-1]] = -np.inf
            rest = log_softmax(rest)
            odds, is_longest = run
            going_on = min(math.log(odds), rest.max() - 0.01) if is_longest else math.log(odds)
            rest[before[-1]] = going_on
            logs[t] = log_softmax(rest)
            continue
        depth, word = counts.length(before) / counts.context, word_before(before, vocabulary)
        place = 2 if word and model.counts.words is not None else 0
        a, b = (w[place] + (w[place + 1] - w[place]) * depth for w in weights[:2])
        logs[t] = a * logs[t] + b * np.log(p)
        of_word = words.get(word, Counter()) if word else Counter()
        of_pair = pairs.get(pair_before(vocabulary.decode(before)), Counter())
        for follows, weight, d in ((of_word, weights.words, 0.1), (of_pair, weights.pairs, 0.75)):
            for symbol, n in follows.items():
                ids_ = [v for v, c in enumerate(vocabulary.characters) if has_symbol(c, symbol)]
                gain = 1 + (n - d) / (d * len(follows)) / p[ids_].sum()
                logs[t][ids_] += weight[len(follows) == 1] * math.log(gain)
                p[ids_] *= gain
            p /= p.sum()
        logs[t] = log_softmax(logs[t])
    return logs


def list_next_words(model: Model, start: str, k: int) -> list[tuple[str, float]]:
    """List the k likeliest next words and marks after a start text, with their probabilities.

    A word is letters up to the end of the word, or a blank and such letters. A mark is one
    character that is no letter, or a blank and such a character. The model reads 200 prefixes.
    """
    found, numbers, state = dict[str, float](), count(), None
    *ids, last = model.vocabulary.encode(start)
    for id_ in ids:
        _, state = model.step([id_], state)
    prefixes = [(-1.0, next(numbers), "", last, state)]  # the likeliest is read first
    is_letter = number_letters(model.vocabulary) > 0
    for _ in range(200):
        if not prefixes or -prefixes[0][0] <= sorted([0.0] * k + [*found.values()])[-k]:
            break
        p, _, text, id_, state = heappop(prefixes)
        logits, state = model.step([id_], state)
        for id_, log_p in enumerate(log_softmax(logits[0].astype(np.float64))):
            character, q = model.vocabulary.characters[id_], -p * math.exp(log_p)
            if is_letter[id_] or (character == " " and not text):
                heappush(prefixes, (-q, next(numbers), text + character, id_, state))
            else:  # a mark, or however a word ends
                whole = text + character if text in ("", " ") else text
                found[whole] = found.get(whole, 0) + q
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:k]


def dry_penalties(text: str, multiplier: float, base: float, allowed: int) -> dict[str, float]:
    """Penalize each character that would continue a sequence that `text` has before its end."""
    result: dict[str, float] = {}
    for place in range(1, len(text)):
        n = 0
        while n < place and text[place - 1 - n] == text[len(text) - 1 - n]:
            n += 1
        if n >= allowed:
            penalty = multiplier * base ** (n - allowed)
            result[text[place]] = max(result.get(text[place], 0.0), penalty)
    return result


class Words:
    """The words and pairs of texts. A word counts only where another character follows it.

    Args:
        longest: the most letters of a word in the table, which does not tell longer ones apart.
    """

    def __init__(self, texts: Sequence[str], longest: int = 12) -> None:
        self.beginnings, self.ended = {""}, {""}
        self.pairs: dict[Any, Counter[str]] = defaultdict(Counter)
        self.times = {key: sum(n.values()) for key, n in pairs_of(texts[0], longest).items()}
        for text in texts:
            *words, _ = "".join(c.lower() if c.isalpha() else " " for c in text).split(" ")
            self.beginnings |= {word[:n] for word in words for n in range(1, len(word) + 1)}
            self.ended |= {*words}
            for key, symbols in pairs_of(text, longest).items():
                self.pairs[key] += symbols
        self.longest = longest

    def costs(
        self, text: str, new: int, factor: float, characters: Sequence[str]
    ) -> dict[str, float]:
        """Compute what characters that leave the words lose, `new` characters after the prompt."""
        word = "".join(takewhile(str.isalpha, reversed(text)))[::-1].lower()
        if not new and word[: self.longest + 1] not in self.beginnings:
            return {c: 1e4 for c in characters if c.isalpha()}
        cost, costs = -math.log(factor) if factor else 1e4, dict.fromkeys(characters, 0.0)
        if len(word) <= self.longest and word in self.beginnings:
            for c in characters:
                known = word + c.lower() in self.beginnings if c.isalpha() else word in self.ended
                costs[c] += 0 if known else cost
        key = pair_before(text)
        if symbols := self.pairs.get(key):
            cost *= 2 - 2 / max(1, self.times.get(key, 0))
            for c in characters:
                costs[c] += 0 if any(has_symbol(c, symbol) for symbol in symbols) else cost
        return costs


def new_words_of(choice: SamplingParams) -> float:
    """Return the factor of the odds of leaving the known words and pairs."""
    if choice.new_words is not None:
        return choice.new_words
    greedy = not choice.sample or choice.top_k == 1
    temperature = 0 if greedy else choice.temperature
    return (
        0.3 ** (temperature / 0.8)
        if temperature <= 0.8
        else min(0.3 + 3.5 * (temperature - 0.8), 1)
    )


MARKS = ".!?…؟۔։।॥።፧။។。．！？｡"


def comes(pair: str, is_open: bool, before: str, mark: str) -> bool:
    """Return whether a mark of a pair opens or closes a quote after a text."""
    if pair[0] != pair[1]:
        return mark == (pair[1] if is_open else pair[0])
    return not before.endswith(" " if is_open else tuple(MARKS))


def list_open(paragraph: str, pairs: Sequence[str]) -> list[str]:
    """List the pairs whose quotes are open after a part of a paragraph, in the order of opening."""
    is_open: list[str] = []
    for at, c in enumerate(paragraph):
        for pair in pairs:
            if c in pair and comes(pair, pair in is_open, paragraph[:at], c):
                [is_open.append, is_open.remove][pair in is_open](pair)
    return is_open


def close_quotes(
    scores: Sequence[float], text: str, pairs: Sequence[str], vocabulary: Vocabulary
) -> list[float]:
    """Move the newline's probability to the mark that closes a quote, and lower misplaced marks."""
    moved, find = [*scores], vocabulary.characters.index
    pairs = [pair for pair in pairs if all(mark in vocabulary for mark in pair)]
    paragraph = text.split("\n")[-1]
    is_open = list_open(paragraph, pairs)
    if is_open and "\n" in vocabulary:
        newline, closing = find("\n"), find(is_open[-1][1])
        if scores[closing] > -math.inf:
            moved[closing] = float(np.logaddexp(scores[closing], scores[newline]))
        moved[newline] -= 1e4
    for pair in pairs:
        for mark in {*pair}:
            moved[find(mark)] -= 0 if comes(pair, pair in is_open, paragraph, mark) else 1e4
    return moved


class Debts:
    """Track what a text owes of each end of a line or sentence, and where it is paid.

    Args:
        shares: of marks in the training text, by which their debts grow.
    """

    def __init__(self, vocabulary: Vocabulary, shares: Mapping[str, float]) -> None:
        self.shares = shares
        self.owed = {c: 0.0 for c in "\n" + MARKS if c in vocabulary}
        self.characters = vocabulary.characters

    def add_to(self, scores: list[float], text: str, temperature: float) -> list[float]:
        """Add the debts that are paid after a text to scores (V,)."""
        scores = [*scores]
        for c, debt in self.owed.items():
            is_blocked = text.endswith("\n") or (text.endswith(tuple(MARKS)) and c != "\n")
            if debt < 0 or not is_blocked:
                factor = min(2 * max(1 / temperature - 1, 0), 6)
                scores[self.characters.index(c)] += factor * debt
        return scores

    def update(self, scores: list[float], draw_at: str) -> None:
        """Update the debts by scores (V,) without debts, and the drawn character."""
        total = sum(math.exp(score - max(scores)) for score in scores)
        for c in self.owed:
            p = math.exp(scores[self.characters.index(c)] - max(scores)) / total
            self.owed[c] = min(self.owed[c] + self.shares.get(c, p), 3)
            if c == draw_at:
                self.owed[c] = max(self.owed[c] - 1, -1)


def scores_of(
    logits: Array,
    choice: SamplingParams,
    vocabulary: Vocabulary,
    text: str = "",
    costs: Mapping[str, float] | None = None,
) -> list[float]:
    """Add penalties and costs to logits (V,), in Python's numbers."""
    scores = [float(logit) for logit in logits]
    if choice.dry_multiplier:
        how = choice.dry_multiplier, choice.dry_base, choice.dry_allowed_length
        for character, penalty in dry_penalties(text, *how).items():
            scores[vocabulary.characters.index(character)] -= penalty
    for character, cost in (costs or {}).items():
        scores[vocabulary.characters.index(character)] -= cost
    for v in vocabulary.look_up(choice.ban or "").tolist():
        scores[v] = -math.inf
    return scores


def probabilities(
    logits: Array,
    choice: SamplingParams,
    vocabulary: Vocabulary,
    text: str = "",
    costs: Mapping[str, float] | None = None,
    debts: Debts | None = None,
    pairs: Sequence[str] = (),
) -> list[float]:
    """Compute the scores (V,) of the draw from logits (V,), after a text."""
    scores = scores_of(logits, choice, vocabulary, text, costs)
    temperature = float(choice.temperature) if choice.sample and choice.top_k != 1 else 0.0
    if temperature and text.endswith(("   ", "\t\t\t")):
        temperature = max(temperature, 1.0)
        choice = replace(choice, **{name: values[0] for name, values in FILTERS.items()})
    if debts is not None and temperature:
        scores = debts.add_to(scores, text, temperature)
    if choice.temperature < 1 and temperature:
        scores = close_quotes(scores, text, pairs, vocabulary)
    banned = [v for v, score in enumerate(scores) if score == -math.inf]
    kept = sorted((v for v in range(len(scores)) if v not in banned), key=lambda v: -scores[v])
    if temperature == 0:
        return [float(v == kept[0]) for v in range(len(scores))]
    # 1e260 as in `charrnn.generation.draw`: beyond it a float64 would overflow
    scale = min(1 / temperature, 1e260)
    weights = {v: math.exp((scores[v] - scores[kept[0]]) * scale) for v in kept}
    kept = kept[: choice.top_k]
    if choice.top_p is not None:
        total, reached = sum(weights[v] for v in kept), 0.0
        for count, v in enumerate(kept, start=1):
            reached += weights[v]
            if reached >= choice.top_p * total:
                kept = kept[:count]
                break
    kept = [v for v in kept if weights[v] >= (choice.min_p)]
    total = sum(weights[v] for v in kept)
    return [weights[v] / total if v in kept else 0.0 for v in range(len(scores))]


def draw_at(each: list[float], uniform: float) -> int:
    """Invert the cumulated probabilities."""
    sums = np.cumsum(each)
    return int(np.searchsorted(sums, uniform * sums[-1], "right"))


def uniforms_of(seed: int, sample: int, length: int) -> Array:
    """Return the random numbers at which the characters of a sample are drawn."""
    seeds = np.random.SeedSequence(seed, spawn_key=(sample,))
    return np.random.Generator(np.random.PCG64(seeds)).random(length)


# the 0.999 quantiles of chi-squared, by degrees of freedom
_QUANTILES = (0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88, 29.59, 31.26)


def assert_follows(counts: Array, expected: Array) -> None:
    """Check counts (V,) of draws by chi-squared, with the rare ones as one."""
    expected = np.asarray(expected)
    assert counts[expected == 0].sum() == 0
    expected = expected * counts.sum()
    rare = expected < 5
    counts, expected = (np.append(n[~rare], n[rare].sum()) for n in (counts, expected))
    counts, expected = counts[expected > 1], expected[expected > 1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic <= _QUANTILES[len(counts) - 1]
