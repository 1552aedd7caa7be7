"""The definition of a model's predictions and of a draw, in float64 and plain Python.

The cells' equations are those of the papers: Hochreiter and Schmidhuber 1997 (with forget gates),
Cho et al. 2014 (but r multiplies the product of h, not h, as in PyTorch). Kneser-Ney's are those of
Chen and Goodman 1999.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
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
        lengths, ends = range(1, self.context + 2), range(1, len(whole) + 1)
        passages = [whole[end - n : end] for end in ends for n in lengths if n <= end]
        inside = [passage for passage in passages if passage[0] >= 0]
        self.known = {(), *(passage for passage in inside if len(passage) <= self.context)}
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for passage in inside:  # how often a character follows K others
            if len(passage) > self.context:
                self.counts[passage[:-1]][passage[-1]] += 1
        for passage in {*passages}:  # after how many characters it follows fewer
            if len(passage) > 1:
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
    least, character = max(context, 4), before[-1]
    length = min(len([*takewhile(character.__eq__, reversed(before))]), 255)
    runs = [min(len([*same]), 255) for c, same in groupby(text) if c == character]
    runs = [n for n in runs if n >= least]
    if length < least or sum(n - least for n in runs) < 2:
        return None
    longer, equal = sum(n > length for n in runs), runs.count(length)
    if not longer and not equal:
        return 1 / 3, True
    return (longer + 0.9) / (equal + 0.1), not longer


def continue_run(logs: Array, id_: int, odds: float, is_longest: bool) -> Array:
    """Compute ln p (V,) in a long run of a character from ln p of any other."""
    others = logs.copy()
    others[id_] = -np.inf
    others = log_softmax(others)
    highest = others.max() - 0.01 if is_longest else math.inf
    others[id_] = min(math.log(odds), highest)
    return log_softmax(others)


def word_before(text: str) -> str:
    """Return the letters at the end of a text, in lower case."""
    return "".join(takewhile(str.isalpha, reversed(text)))[::-1].lower()


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
    counts, decode = model.counts, model.vocabulary.decode
    if counts is None:
        return logs
    weights, characters = counts.weights, model.vocabulary.characters
    table = KneserNey(counted, len(characters), counts.table.context)
    words = {} if counts.words is None else words_of(decode(counted), longest)
    pairs = {} if counts.pairs is None else pairs_of(decode(counted), longest)
    for t, network in enumerate(logs):
        before, text = ids[: t + 1].tolist(), decode(ids[: t + 1])
        p, word = table.probabilities(before), word_before(text)
        run = None if counts.runs is None else odds_of_run(counted, before, table.context)
        if run is not None:
            others = network if any(weights.network) else np.log(p)
            logs[t] = continue_run(others, before[-1], *run)
            continue
        depth = table.length(before) / table.context
        place = 2 if word and counts.words is not None else 0
        a, b = (each[place] + (each[place + 1] - each[place]) * depth for each in weights[:2])
        logs[t] = a * network + b * np.log(p)
        of_word = words.get(word, Counter()) if word else Counter()
        of_pair = pairs.get(pair_before(text), Counter())
        for follows, weight, d in ((of_word, weights.words, 0.1), (of_pair, weights.pairs, 0.75)):
            for symbol, n in follows.items():
                alike = [has_symbol(c, symbol) for c in characters]
                gain = 1 + (n - d) / (d * len(follows)) / p[alike].sum()
                logs[t][alike] += weight[len(follows) == 1] * math.log(gain)
                p[alike] *= gain
            p /= p.sum()
        logs[t] = log_softmax(logs[t])
    return logs


def list_next_words(model: Model, start: str, k: int) -> list[tuple[str, float]]:
    """List the k likeliest next words and marks after a start text, with their probabilities.

    A word is letters up to the end of the word, or a blank and such letters. A mark is one
    character that is no letter, or a blank and such a character. The 200 likeliest prefixes are
    read.
    """
    found, prefixes, characters = Counter[str](), {"": 1.0}, model.vocabulary.characters
    is_letter = dict(zip(characters, number_letters(model.vocabulary) > 0, strict=True))
    for _ in range(200):
        if not prefixes or max(prefixes.values()) <= sorted([0.0] * k + [*found.values()])[-k]:
            break
        text = max(prefixes, key=prefixes.__getitem__)
        shares = prefixes.pop(text) * np.exp(log_softmax(model.logits(start + text)[-1:]))[0]
        for c, share in zip(characters, shares.tolist(), strict=True):
            if is_letter[c] or (c == " " and not text):
                prefixes[text + c] = share
            else:  # a mark, or however a word ends
                found[text + c if text in ("", " ") else text] += share
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:k]


def dry_penalties(text: str, multiplier: float, base: float, allowed: int) -> dict[str, float]:
    """Return the penalty of each character that would repeat what follows an end like this."""
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
        word = word_before(text)
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


def find_new_words(params: SamplingParams, temperature: float) -> float:
    """Return the factor of the odds of leaving the known words and pairs."""
    if params.new_words is not None:
        return params.new_words
    if temperature <= 0.8:
        return float(0.3 ** (temperature / 0.8))
    return min(0.3 + 3.5 * (temperature - 0.8), 1)


MARKS = ".!?…؟۔։।॥።፧။។．！？｡"


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
                if pair in is_open:
                    is_open.remove(pair)
                else:
                    is_open.append(pair)
    return is_open


Scores = dict[str, float]  # of the characters


def close_quotes(scores: Scores, text: str, pairs: Sequence[str]) -> None:
    """Move the newline's probability to the mark that closes a quote, and lower misplaced marks."""
    pairs = [pair for pair in pairs if all(mark in scores for mark in pair)]
    paragraph = text.split("\n")[-1]
    is_open = list_open(paragraph, pairs)
    if is_open and "\n" in scores:
        closing = is_open[-1][1]
        if scores[closing] > -math.inf:
            scores[closing] = float(np.logaddexp(scores[closing], scores["\n"]))
        scores["\n"] -= 1e4
    for pair in pairs:
        for mark in {*pair}:
            scores[mark] -= 0 if comes(pair, pair in is_open, paragraph, mark) else 1e4


class Writer:
    """The draws of a text, one character after the other.

    Args:
        text: before the first draw.
        words: the known words and pairs.
        shares: of marks in the training text, by which their debts grow.
        pairs: the marks of quotes that close.

    Attributes:
        debts: what the text owes of each end of a line or sentence.
    """

    def __init__(
        self,
        params: SamplingParams,
        vocabulary: Vocabulary,
        text: str = "",
        words: Words | None = None,
        shares: Mapping[str, float] | None = None,
        pairs: Sequence[str] = (),
    ) -> None:
        self.params, self.characters, self.text, self.new = params, vocabulary.characters, text, 0
        self.words, self.shares, self.pairs = words, shares or {}, pairs
        self.debts = {c: 0.0 for c in "\n" + MARKS if c in vocabulary}
        is_greedy = not params.sample or params.top_k == 1
        self.temperature = 0.0 if is_greedy else float(params.temperature)

    def append(self, logits: Array, character: str) -> None:
        """Append a character that was drawn from logits (V,), and update the debts."""
        scores = self.penalize(logits)
        weights = {c: math.exp(score - max(scores.values())) for c, score in scores.items()}
        for c in self.debts:
            due = self.shares.get(c, weights[c] / sum(weights.values()))
            self.debts[c] = min(self.debts[c] + due, 3)
        if character in self.debts:
            self.debts[character] = max(self.debts[character] - 1, -1)
        self.text += character
        self.new += 1

    def penalize(self, logits: Array) -> Scores:
        """Subtract penalties and costs from logits (V,)."""
        how, scores = self.params, dict(zip(self.characters, logits.tolist(), strict=True))
        if how.dry_multiplier:
            options = how.dry_multiplier, how.dry_base, how.dry_allowed_length
            for c, penalty in dry_penalties(self.text, *options).items():
                scores[c] -= penalty
        if self.words is not None:
            factor = find_new_words(how, self.temperature)
            for c, cost in self.words.costs(self.text, self.new, factor, self.characters).items():
                scores[c] -= cost
        return scores | dict.fromkeys({*(how.ban or "")} & scores.keys(), -math.inf)

    def add_debts(self, scores: Scores, temperature: float) -> None:
        """Add the debts that are paid after the text."""
        for c, debt in self.debts.items():
            is_blocked = self.text.endswith("\n" if c == "\n" else ("\n", *MARKS))
            if debt < 0 or not is_blocked:
                scores[c] += min(2 * max(1 / temperature - 1, 0), 6) * debt

    def probabilities(self, logits: Array, **filters: float) -> list[float]:
        """Compute p (V,) of a draw from logits (V,), by the params or other `filters`."""
        scores, temperature = self.penalize(logits), self.temperature
        how = replace(self.params, **filters)
        if temperature == 0:
            best = max(scores, key=scores.__getitem__)
            return [float(c == best) for c in scores]
        if self.text.endswith(("   ", "\t\t\t")):
            temperature = max(temperature, 1.0)
            how = replace(how, **{name: values[0] for name, values in FILTERS.items()})
        self.add_debts(scores, temperature)
        if self.temperature < 1:
            close_quotes(scores, self.text, self.pairs)
        kept = sorted(scores, key=lambda c: -scores[c])[: how.top_k]
        # 1e260 as in `charrnn.generation.draw`: beyond it a float64 would overflow
        scale, highest = min(1 / temperature, 1e260), scores[kept[0]]
        weights = {c: math.exp((scores[c] - highest) * scale) for c in kept}
        if how.top_p is not None:
            sums = np.cumsum([*weights.values()])
            kept = kept[: 1 + int(np.argmax(sums >= how.top_p * sums[-1]))]
        kept = [c for c in kept if weights[c] >= how.min_p]
        total = sum(weights[c] for c in kept)
        return [weights[c] / total if c in kept else 0.0 for c in scores]


def draw_at(each: list[float], uniform: float) -> int:
    """Return the id at a uniform number, by the inverse of the cumulated probabilities."""
    sums = np.cumsum(each)
    return int(np.searchsorted(sums, uniform * sums[-1], "right"))


def uniforms_of(seed: int, sample: int, length: int) -> Array:
    """Return the random numbers at which the characters of a sample are drawn."""
    seeds = np.random.SeedSequence(seed, spawn_key=(sample,))
    return np.random.Generator(np.random.PCG64(seeds)).random(length)


def assert_follows(counts: Array, expected: Array) -> None:
    """Check that counts (V,) of draws are within five deviations of those of p (V,)."""
    mean = np.asarray(expected) * counts.sum()
    assert counts[mean == 0].sum() == 0
    assert (abs(counts - mean) <= 5 * np.sqrt(mean) + 1).all()
