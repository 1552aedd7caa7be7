"""`make results`: train and score the recipes, and write the tables of two pages.

    python -m benchmarks.recipes [NAME ...]

Each recipe (`experiment=NAME`) trains on the first 90 % of tiny-shakespeare and is scored on the
last 10 %, which is nanoGPT's split. A run whose result is in outputs/results is not repeated, so
the recipes can be named one by one. Without names, the tables are written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.measuring import CHARRNN, REPOSITORY, RESULTS, load_or_measure, run
from benchmarks.tables import PAGE, README, format_table, write_table
from charrnn import Model
from charrnn.counts.fitting import fit_weights
from charrnn.data import Ids, open_training_data
from charrnn.evaluation import compute_stream_loss, compute_window_loss
from charrnn.models.trained import TrainedModel
from charrnn.networks.network import AnyNetwork, make_any_network, make_network
from charrnn.runs.model_lookup import read_model
from charrnn.say import format_duration

CORPUS = "tiny_shakespeare"
# The recipes (values of experiment=, or the default) and the number of seeds of each.
DEFAULT = "default"
RECIPES = {"torch_rnn": 1, "two_minutes": 3, DEFAULT: 3, "ten_minutes": 3, "hour": 1}
WINDOW = 256
# Results of others on the same split: parameters, time, loss in windows, loss with counts.
PEERS = {
    "nanoGPT's recipe for a CPU": ("0.80 million", "1:20", "1.886", ""),
    "nanoGPT's recipe for a GPU": ("10.65 million", "on a GPU", "1.4697", ""),
}

Results = dict[str, list[dict[str, Any]]]  # of each recipe, the measurements of its runs


def main(words: Sequence[str] | None = None) -> int:
    """Measure the missing runs, then write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--text", default=CORPUS, help="its file, instead of fetching the corpus")
    options = parser.parse_args(words)
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"{', '.join(sorted(unknown))}: not a recipe of the table")
    results: Results = {name: [] for name in options.names or RECIPES}
    for name, runs in results.items():
        for seed in range(1, 1 + RECIPES[name]):
            measure = partial(measure_recipe, name, seed, options.text)
            runs.append(load_or_measure(RESULTS / name / f"seed-{seed}.json", measure))
    table = format_results(results)
    print(table)
    if not options.names:
        measured = f"Measured on {describe_machine()['processor']}."
        write_table(PAGE, "results", "\n\n".join([table, measured]))
        write_table(README, "results", format_short_table(results))
    return 0


def measure_recipe(recipe: str, seed: int, text: str) -> dict[str, Any]:
    """Train one run. Return its time, memory and losses, as values for JSON."""
    folder = RESULTS / recipe / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was stopped
    experiment = () if recipe == DEFAULT else (f"experiment={recipe}",)
    data = (f"data.input_txt={text}", "data.val_frac=0.1", "data.test_frac=0")
    words = (*experiment, *data, f"seed={seed}", f"hydra.run.dir={folder}")
    ended = run([*CHARRNN, "train", *words], REPOSITORY)
    trained = read_model(folder)
    return {
        "seconds": ended.seconds,
        "peak_bytes": ended.peak_bytes,
        "parameters": trained.architecture.num_parameters,
        **compute_losses(trained),
    }


# -- losses ------------------------------------------------------------------------------


def compute_losses(trained: TrainedModel) -> dict[str, tuple[float, float]]:
    """Return the losses of the validation split: of the network, and with counts.

    Each is a pair: `carried` through the split, and in windows. The weights of the counts are
    cross-validated: each half of the split is scored with the weights that are fitted on the other
    half.
    """
    ids = open_training_data(trained.facts).get_split("val")[:]
    halves = ids[: len(ids) // 2], ids[len(ids) // 2 :]
    crossed = [
        score(make_any_network(fit_counts(trained, other)), half)
        for half, other in zip(halves, halves[::-1], strict=True)
    ]
    carried, windows = map(mean, zip(*crossed, strict=True))
    return {"network": score(make_network(trained), ids), "with_counts": (carried, windows)}


def score(network: AnyNetwork, ids: Ids) -> tuple[float, float]:
    """Return the loss of ids (n,) as one stream, and in windows."""
    return compute_stream_loss(network, ids).loss, compute_window_loss(network, ids, WINDOW).loss


def fit_counts(trained: TrainedModel, held_out: Ids) -> TrainedModel:
    """Return the model with the weights of its counts fitted to a held-out text (n,)."""
    counts = trained.counts
    assert counts is not None
    text = trained.vocabulary.decode(held_out[:-1].tolist())
    logits = Model(trained).logits(text, counts="none")
    states = counts.find_states(held_out[None, :-1], counts.zero_state(1))
    fit = fit_weights(logits, counts.observe(states), held_out[1:])
    return replace(trained, counts=replace(counts, weights=fit.weights))


# -- the pages ---------------------------------------------------------------------------


def format_results(results: Results) -> str:
    """Format a row per recipe: means over seeds ± the largest distance from them."""
    head = ("recipe", "parameters", "time", "memory", "carried", f"windows of {WINDOW}")
    rows = []
    for recipe, runs in results.items():
        title = "the default" if recipe == DEFAULT else f"`{recipe}`"
        carried, windows = (format_spread([r["network"][i] for r in runs]) for i in range(2))
        both = (format_spread([r["with_counts"][i] for r in runs]) for i in range(2))
        rows.append([
            f"{title}, {len(runs)} seed{'s' if len(runs) > 1 else ''}",
            f"{runs[0]['parameters']:,}",
            format_time(runs),
            f"{max(r['peak_bytes'] for r in runs) / 1e6:,.0f} MB",
            carried,
            windows,
            " / ".join(both),
        ])  # fmt: skip
    return format_table([*head, "both with counts"], rows)


def format_short_table(results: Results) -> str:
    """Format a row per recipe with its mean loss in windows, next to nanoGPT's results."""
    rows = [[name, *values] for name, values in PEERS.items()]
    for recipe, runs in results.items():
        rows.append([
            "charrnn as it is" if recipe == DEFAULT else f"charrnn, `experiment={recipe}`",
            f"{runs[0]['parameters'] / 1e6:.2f} million",
            format_time(runs),
            f"{mean(r['network'][1] for r in runs):.4f}",
            f"{mean(r['with_counts'][1] for r in runs):.4f}",
        ])  # fmt: skip
    return format_table(["", "parameters", "trained in", "loss", "with counts"], rows)


def format_time(runs: list[dict[str, Any]]) -> str:
    """Format the shortest time: other programs on the machine can only make a run longer."""
    return format_duration(min(r["seconds"] for r in runs))


def format_spread(values: list[float]) -> str:
    """Format the mean of values, with the largest distance from it."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{mean(values):.4f} ± {max(abs(value - mean(values)) for value in values):.4f}"


if __name__ == "__main__":
    sys.exit(main())
