"""Measure the gain of the word table: `python -m benchmarks.unknown_words RUN ...`.

The training text of each run is counted again. The counts are mixed with the run's network twice:
without the word table, and with it. The tables compare both models:

- the loss on the test split;
- the share of the words of a sample that do not exist: neither the text nor a reference has them.
  A reference is a list of words, or another text in the language;
- the share of a sample that is copied from the training text, in passages of some lengths.

A model with a word table has less entropy. So the model without it also writes at the temperature
at which the mean entropy of its draws is the same. Runs of the same text are averaged.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe_machine
from benchmarks.recipes import fit_counts, format_markdown
from charrnn import Model
from charrnn.counts.mixing import COUNTS_ONLY, Counts
from charrnn.counts.passages import count_with_best_context
from charrnn.counts.run_lengths import count_runs
from charrnn.counts.table import CountTable
from charrnn.counts.words import MAX_LETTERS, count_words, number_letters
from charrnn.data import EncodedText, open_training_data
from charrnn.generation.sampler import Sampler
from charrnn.models.trained import TrainedModel, zero_state
from charrnn.options.datasets import SPLITS
from charrnn.options.sampling import SamplingParams
from charrnn.runs.model_lookup import read_model
from charrnn.text.sources import read_pieces
from charrnn.text.training_text import TrainingText, find_training_text, get_corpus_name
from charrnn.training.counting import MAX_CHARACTERS, MAX_LOGITS, WORDS_SHARE

TEMPERATURES = (0.5, 0.8, 1.0)
MIN_P = 0.02
LENGTH, SAMPLES = 1000, 20  # characters of a sample, and samples of a model and temperature
COPIES = (20, 30, 40)  # characters
WITHOUT, WITH, EQUAL = "without words", "with words", "equal entropy"
WORD = re.compile(r"[^\W\d_]+")
_ROUNDS = 2  # samples with which the temperature of equal entropy is approached
_HALVINGS = 12  # of the interval that contains it

Logits = npt.NDArray[np.float32]


@dataclass
class Result:
    """The measurements of a run.

    Attributes:
        characters: of the training split.
        is_used: whether the training would use the word table.
        losses: on the test split, of the network and both mixtures.
        samples: numbers on the samples by model and temperature.
    """

    text: str
    characters: int
    is_used: bool
    losses: dict[str, float]
    samples: dict[tuple[str, float], dict[str, float]] = field(default_factory=dict)


def main(words: Sequence[str] | None = None) -> int:
    """Measure all runs. Print the tables to standard output, and progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unknown_words", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--reference", nargs="*", default=[], metavar="FILE", help="more words")
    parser.add_argument("--length", type=int, default=LENGTH, help="characters of a sample")
    options = parser.parse_args(words)
    files = options.reference
    reference = find_words("\n".join(read_pieces(files, "utf-8"))) if files else set()
    results = []
    for run in options.runs:
        results.append(measure_run(run, reference, options.length))
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in results[-1].losses.items())
        print(f"{run}: {losses}", file=sys.stderr, flush=True)
    print(format_losses(results), format_new_words(results), format_copies(results), sep="\n\n")
    print(f"\nMeasured on {describe_machine()['processor']}.")
    return 0


def measure_run(run: str, reference: set[str], length: int) -> Result:
    trained = read_model(run)
    data = open_training_data(trained.facts)
    models, is_used = make_models(trained, data)
    text = data.vocabulary.decode(data.get_split("test")[:].tolist())
    losses = {name: Model(model).score(text) for name, model in models.items()}
    losses = {"network": Model(trained).score(text, counts="none"), **losses}
    name = get_corpus_name(trained.facts) or run
    result = Result(name, len(data.get_split("train")), is_used, losses)
    known = reference.union(*(find_words(_decode_split(data, split)) for split in SPLITS))
    training = find_training_text(trained.facts, trained.encoding)
    for temperature in TEMPERATURES:
        samples = write_samples(models, temperature, length)
        for model, (sample, facts) in samples.items():
            result.samples[model, temperature] = facts | measure_sample(sample, known, training)
    return result


def _decode_split(data: EncodedText, split: str) -> str:
    return data.vocabulary.decode(data.get_split(split)[:].tolist())


def make_models(trained: TrainedModel, data: EncodedText) -> tuple[dict[str, TrainedModel], bool]:
    """Return the mixtures by name, and whether the word table predicts held-out text better."""
    size = len(trained.vocabulary)
    train = data.get_split("train")[:MAX_CHARACTERS]
    held_out = data.get_split("val")[: MAX_LOGITS // size + 1]
    table = count_with_best_context(train, held_out, size)
    runs = count_runs([train], size, table.context)
    letters, max_bytes = number_letters(trained.vocabulary), measure_model_bytes(trained, table)
    words = count_words(train, letters, MAX_LETTERS, int(WORDS_SHARE * max_bytes))
    models, fits = {}, []
    for name, word_table in ((WITHOUT, None), (WITH, words)):
        counts = Counts(table, runs, word_table, COUNTS_ONLY)
        fits.append(fit_counts(counts, trained, held_out))
        counts = replace(counts, weights=fits[-1].weights)
        models[name] = replace(trained, counts=counts)
    return models, fits[1].loss < fits[0].loss


def measure_model_bytes(trained: TrainedModel, table: CountTable) -> int:
    """Return the size of a model file with these counts, without a word table."""
    arrays = [*trained.weights.values(), *table.to_arrays().values()]
    return sum(array.nbytes for array in arrays)


# -- samples -------------------------------------------------------------------------------


def write_samples(
    models: dict[str, TrainedModel], temperature: float, length: int
) -> dict[str, tuple[list[str], dict[str, float]]]:
    """Return the samples of each model, with the temperature and the mean entropy."""
    samplers = {name: Sampler(model) for name, model in models.items()}
    written = {}
    for name in (WITH, WITHOUT):
        sample, logits = write_and_read(samplers[name], temperature, length)
        entropy = compute_entropy(logits, temperature)
        written[name] = sample, {"temperature": temperature, "entropy": entropy}
    target, equal = written[WITH][1]["entropy"], temperature
    for _ in range(_ROUNDS):
        equal = find_temperature(logits, target)
        sample, logits = write_and_read(samplers[WITHOUT], equal, length)
    facts = {"temperature": equal, "entropy": compute_entropy(logits, equal)}
    return {**written, EQUAL: (sample, facts)}


def write_and_read(
    sampler: Sampler, temperature: float, length: int
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return new texts, and the logits (N, T, V) after each of their characters."""
    params = SamplingParams(
        length=length, num_samples=SAMPLES, temperature=temperature, min_p=MIN_P, seed=1
    )
    pieces: list[list[str]] = [[] for _ in range(SAMPLES)]
    for piece in sampler.write(params):
        pieces[piece.sample].append(piece.text)
    texts = ["".join(each) for each in pieces]
    ids = np.array([sampler.model.vocabulary.encode(text) for text in texts])
    return texts, sampler.reader.read(ids, zero_state(sampler.model, SAMPLES))[0]


def compute_entropy(logits: Logits, temperature: float) -> float:
    """Return the mean entropy of the distributions at a temperature, in nats."""
    entropies = []
    for array in logits:
        scores = array / temperature
        scores -= scores.max(-1, keepdims=True)
        weights = np.exp(scores)
        sums = weights.sum(-1)
        entropies.append(np.log(sums) - np.einsum("tv,tv->t", weights, scores) / sums)
    return float(np.concatenate(entropies).mean())


def find_temperature(logits: Logits, entropy: float) -> float:
    """Return the temperature at which the mean entropy has this value."""
    low, high = 0.1, 2.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_too_low = compute_entropy(logits, middle) < entropy
        low, high = (middle, high) if is_too_low else (low, middle)
    return (low + high) / 2


def measure_sample(sample: list[str], known: set[str], training: TrainingText) -> dict[str, float]:
    """Return the share of words that do not exist, and the share of copies by their length."""
    # The end of a text may be in the middle of a word.
    words = [word.lower() for text in sample for word in WORD.findall(text)[:-1]]
    matches = [training.find_longest_matches(text) for text in sample]
    return {
        "new words": mean(word not in known for word in words) if words else 0.0,
        **{str(size): mean(measure_copies(each, size) for each in matches) for size in COPIES},
    }


def measure_copies(matches: npt.NDArray[np.int64], size: int) -> float:
    """Return the share of a text in copied passages of at least `size` characters.

    Args:
        matches: as `TrainingText.find_longest_matches` returns them.
    """
    ends = np.flatnonzero(matches >= size)
    is_copied = np.zeros(len(matches), bool)
    for offset in range(size):
        is_copied[ends - offset] = True
    return float(is_copied.mean())


def find_words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


# -- tables --------------------------------------------------------------------------------


def format_losses(results: list[Result]) -> str:
    """Format a row per text with its mean losses over the runs."""
    lines = [
        ["text", "characters", "runs", "network", WITHOUT, WITH, "gain", "used"],
        ["---", *["---:"] * 7],
    ]
    for text, runs in _group_by_text(results).items():
        network, without, with_words = (
            mean(run.losses[name] for run in runs) for name in ("network", WITHOUT, WITH)
        )
        losses = [f"{loss:.3f}" for loss in (network, without, with_words, without - with_words)]
        size, used = f"{runs[0].characters:,}", sum(run.is_used for run in runs)
        lines.append([text, size, f"{len(runs)}", *losses, f"{used}"])
    return format_markdown(lines)


def format_new_words(results: list[Result]) -> str:
    """Format a row per text with the percentages of words that do not exist."""
    names = [f"{t}: {WITHOUT} / with / {EQUAL}" for t in TEMPERATURES]
    lines = [["text", *names], ["---", *["---:"] * len(names)]]
    for text, runs in _group_by_text(results).items():
        cells = [
            _format_shares(runs, (WITHOUT, WITH, EQUAL), temperature, "new words")
            for temperature in TEMPERATURES
        ]
        lines.append([text, *cells])
    return format_markdown(lines)


def format_copies(results: list[Result]) -> str:
    """Format a row per text with the percentages of copies, without words and with them."""
    names = [f"{t}: {size}" for t in TEMPERATURES for size in COPIES]
    lines = [["text", *names], ["---", *["---:"] * len(names)]]
    for text, runs in _group_by_text(results).items():
        cells = [
            _format_shares(runs, (WITHOUT, WITH), temperature, str(size))
            for temperature in TEMPERATURES
            for size in COPIES
        ]
        lines.append([text, *cells])
    return format_markdown(lines)


def _format_shares(runs: list[Result], models: Sequence[str], temperature: float, name: str) -> str:
    """Format the mean percentages of some models."""
    shares = [mean(run.samples[model, temperature][name] for run in runs) for model in models]
    return " / ".join(f"{100 * share:.1f}" for share in shares)


def _group_by_text(results: list[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.text, []).append(result)
    return groups


if __name__ == "__main__":
    sys.exit(main())
