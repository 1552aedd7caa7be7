"""`make results`: train, score and sample the recipes, and write the tables of two pages.

    python -m benchmarks.recipes [NAME ...] [--seeds 3] [--table]

Each recipe (``experiment=NAME``) trains on the first 90 % of tiny-shakespeare and is scored on the
last 10 %, which is nanoGPT's split. A run whose result is in outputs/results is not repeated, so
the runs can be done one by one.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.measuring import run
from benchmarks.report import PAGE, write_table
from benchmarks.workplace import CHARRNN, REPOSITORY
from charrnn import Model
from charrnn.counts.fitting import Fit, fit_weights
from charrnn.counts.mixing import Counts
from charrnn.data import Ids, SplitIds, open_data, translate_split
from charrnn.evaluation.stream_losses import compute_stream_loss, compute_window_loss
from charrnn.models.trained import TrainedModel
from charrnn.networks.counted import make_any_network
from charrnn.runs.model_lookup import read_model

RUNS = REPOSITORY / "outputs" / "results"
README = REPOSITORY / "README.md"
SPLIT = ("data.val_frac=0.1", "data.test_frac=0")
CORPUS = "tiny_shakespeare"
# The recipes (values of experiment=, or the default) and the number of seeds of each.
DEFAULT = "default"
RECIPES = {"torch_rnn": 1, "two_minutes": 3, DEFAULT: 3, "ten_minutes": 3, "hour": 1}
WINDOW = 256
TEMPERATURES = (0.5, 0.8)
SAMPLE = 400  # characters
ON_PAGE = "0.8", 160  # the temperature and the number of characters on the page
# Results of others on the same split: parameters, time, loss in windows, loss with counts.
PEERS = {
    "nanoGPT's recipe for a CPU": ("0.80 million", "1:20", "1.886", ""),
    "nanoGPT's recipe for a GPU": ("10.65 million", "on a GPU", "1.4697", ""),
}
PARAMETERS = re.compile(r"; ([\d,]+) parameters")


@dataclass(frozen=True)
class Trained:
    """A trained run; `result` has its measurements, as values for JSON."""

    recipe: str
    seed: int
    result: dict[str, Any]


def main(words: Sequence[str] | None = None) -> int:
    """Train the missing runs, then write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--seeds", type=int, help="runs per recipe; default 3, for long ones 1")
    parser.add_argument("--text", type=Path, help="the corpus as a file, instead of fetching it")
    parser.add_argument("--table", action="store_true", help="only write the tables")
    options = parser.parse_args(words)
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"{', '.join(sorted(unknown))}: not a recipe of the table")
    for name in [] if options.table else options.names or list(RECIPES):
        for seed in range(1, 1 + (options.seeds or RECIPES[name])):
            if not (get_folder(name, seed) / "result.json").is_file():
                train(name, seed, options.text)
    runs = read_results()
    write(runs)
    print(format_table(runs))
    return 0


def get_folder(recipe: str, seed: int) -> Path:
    return RUNS / recipe / f"seed-{seed}"


def train(recipe: str, seed: int, text: Path | None) -> None:
    """Train one run, and write its time, memory, losses and samples to result.json."""
    folder = get_folder(recipe, seed)
    print(f"{recipe}, seed {seed} ...", file=sys.stderr, flush=True)
    corpus = [f"data.input_txt={text.resolve()}" if text else f"data={CORPUS}", *SPLIT]
    words = (*choose_experiment(recipe), *corpus, f"seed={seed}", f"hydra.run.dir={folder}")
    ended = run([*CHARRNN, "train", *words], REPOSITORY)
    parameters = next(match for _, line in ended.lines if (match := PARAMETERS.search(line)))
    result = {
        "machine": describe_machine(),
        "seconds": ended.seconds,
        "peak_bytes": ended.peak_bytes,
        "parameters": int(parameters[1].replace(",", "")),
        "carried": evaluate(folder)["loss"],
        "cold": evaluate(folder, f"window={WINDOW}")["loss"],
        "counts": compute_losses_with_counts(folder),
        "samples": {str(t): sample(folder, t) for t in TEMPERATURES},
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


def choose_experiment(recipe: str) -> list[str]:
    return [] if recipe == DEFAULT else [f"experiment={recipe}"]


def evaluate(folder: Path | str, *words: str) -> dict[str, Any]:
    where = (f"checkpoint={folder}", "split=val", "counts=none", "json=true")
    values: dict[str, Any] = json.loads(
        run([*CHARRNN, "evaluate", *where, *words], REPOSITORY).output
    )
    return values


def compute_losses_with_counts(folder: Path) -> dict[str, float]:
    """Return the losses with counts: `carried` through the split, and `cold` in windows.

    The weights of the counts are cross-validated: each half of the split is scored with the weights
    that are fitted on the other half.
    """
    trained = read_model(folder)
    assert trained.counts is not None
    data = open_data(Path(trained.facts["input_h5"]), Path(trained.facts["input_json"]))
    ids = translate_split(data, "val", trained.vocabulary)[:]
    halves = ids[: len(ids) // 2], ids[len(ids) // 2 :]
    totals = {"carried": 0.0, "cold": 0.0}
    for scored, other in (halves, halves[::-1]):
        weights = fit_counts(trained.counts, trained, other).weights
        both = replace(trained, counts=replace(trained.counts, weights=weights))
        network, part = make_any_network(both), SplitIds(scored)
        totals["carried"] += compute_stream_loss(network, part).loss * len(scored)
        totals["cold"] += compute_window_loss(network, part, WINDOW).loss * len(scored)
    return {how: total / len(ids) for how, total in totals.items()}


def fit_counts(counts: Counts, trained: TrainedModel, held_out: Ids) -> Fit:
    """Fit the weights of counts and the network of a model to a held-out text (n,)."""
    text = trained.vocabulary.decode(held_out[:-1].tolist())
    logits = Model(trained).logits(text, counts="none")
    states = counts.find_states(held_out[None, :-1], counts.zero_state(1))
    return fit_weights(logits, counts.observe(states), held_out[1:])


def sample(folder: Path, temperature: float) -> str:
    words = (f"checkpoint={folder}", f"temperature={temperature}", f"length={SAMPLE}", "seed=1")
    return run([*CHARRNN, "sample", *words], REPOSITORY).output


def read_results() -> list[Trained]:
    """Return all runs with a result, in the order of the recipes."""
    runs = []
    for recipe in RECIPES:
        for path in sorted(get_folder(recipe, 0).parent.glob("seed-*/result.json")):
            seed = int(path.parent.name.removeprefix("seed-"))
            runs.append(Trained(recipe, seed, json.loads(path.read_text(encoding="utf-8"))))
    return runs


# -- the page ----------------------------------------------------------------------------


def format_table(runs: list[Trained]) -> str:
    """Format a row per recipe and machine: means over seeds ± the largest distance from them."""
    head = [
        "recipe", "parameters", "time", "memory", "carried", f"windows of {WINDOW}",
        "both with counts",
    ]  # fmt: skip
    lines = [[*head, "machine"], ["---", *["---:"] * (len(head) - 1), "---"]]
    for (recipe, machine), results in group_results(runs).items():
        title = "the default" if recipe == DEFAULT else f"`{recipe}`"
        lines.append([
            title + (f", {len(results)} seeds" if len(results) > 1 else ", 1 seed"),
            f"{results[0]['parameters']:,}",
            format_time(results),
            f"{max(r['peak_bytes'] for r in results) / 2**20:.0f} MB",
            *(format_spread([r[name] for r in results]) for name in ("carried", "cold")),
            " / ".join(
                format_spread([r["counts"][how] for r in results]) for how in ("carried", "cold")
            ),
            machine,
        ])  # fmt: skip
    return format_markdown(lines)


def format_short_table(runs: list[Trained]) -> str:
    """Format a row per recipe with its mean loss in windows, next to nanoGPT's results."""
    lines = [["", "parameters", "trained in", "loss", "with counts"], ["---", *["---:"] * 4]]
    lines += [[name, *values] for name, values in PEERS.items()]
    for (recipe, _), results in group_results(runs).items():
        lines.append([
            "charrnn as it is" if recipe == DEFAULT else f"charrnn, `experiment={recipe}`",
            f"{results[0]['parameters'] / 1e6:.2f} million",
            format_time(results),
            f"{statistics.mean(r['cold'] for r in results):.4f}",
            f"{statistics.mean(r['counts']['cold'] for r in results):.4f}",
        ])  # fmt: skip
    return format_markdown(lines)


def group_results(runs: list[Trained]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Group the results by recipe and machine."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for trained in runs:
        key = trained.recipe, trained.result["machine"]["processor"]
        rows.setdefault(key, []).append(trained.result)
    return rows


def format_time(results: list[dict[str, Any]]) -> str:
    """Format the shortest time: other programs on the machine can only make a run longer."""
    seconds = int(min(r["seconds"] for r in results))
    return f"{seconds // 60}:{seconds % 60:02}"


def format_markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def format_spread(values: list[float]) -> str:
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.4f}"
    return f"{mean:.4f} ± {max(abs(value - mean) for value in values):.4f}"


def format_samples(runs: list[Trained]) -> str:
    """Format the samples of the first seed of each recipe as a code block."""
    temperature, length = ON_PAGE
    lines = [
        f"---------- {trained.recipe}\n{trained.result['samples'][temperature][:length].strip()}\n"
        for trained in runs
        if trained.seed == 1
    ]
    return f"```text\n{''.join(lines)}```"


def write(runs: list[Trained]) -> None:
    """Write the table and the samples into the page, and the short table into README."""
    write_table(PAGE, "results", f"{format_table(runs)}\n\n{format_samples(runs)}")
    write_table(README, "results", format_short_table(runs))


if __name__ == "__main__":
    sys.exit(main())
