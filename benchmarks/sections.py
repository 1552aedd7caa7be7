"""The parts of the way, each measured as a person meets it: mostly as whole processes."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Effort, interleaved, measured, run, seconds
from benchmarks.report import Row, at_least, at_most
from charrnn import modelfile
from charrnn.data import open_data
from charrnn.text.preprocessing import preprocess

CHARRNN = [sys.executable, "-m", "charrnn"]
WINDOW_CHARACTERS = 50 * 50
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Corpus:
    """A text, preprocessed; and a model that was trained on it for a moment.

    Attributes:
        folder: for whatever a section writes.
    """

    name: str
    text: Path
    h5: Path
    json: Path
    model: Path
    folder: Path

    @classmethod
    def prepared(cls, text: Path | None, folder: Path) -> Corpus:
        from charrnn.text.corpora import corpus_text

        source = text or corpus_text("shakespeare", None, lambda line: print(line, file=sys.stderr))
        made = preprocess(
            str(source),
            folder / "text.h5",
            folder / "text.json",
            val_frac=0.1,
            test_frac=0.1,
            encoding="utf-8",
        )
        corpus = cls(source.stem, source, made.h5, made.json, folder / "m.safetensors", folder)
        corpus.train("first", 300)
        (folder / "first" / "model.safetensors").rename(corpus.model)
        return corpus

    def train(self, name: str, steps: int, *overrides: str) -> float:
        """`charrnn train` with the default recipe; the seconds from the first step to the end."""
        ended = run(
            [
                *CHARRNN,
                "train",
                f"data.input_h5={self.h5}",
                f"data.input_json={self.json}",
                f"trainer.max_steps={steps}",
                f"hydra.run.dir={self.folder / name}",
                *overrides,
            ],
            self.folder,
        )
        return ended.at("best validation loss") - ended.at("step 1 /")


def training(corpus: Corpus, effort: Effort) -> list[Row]:
    """A step of `charrnn train`, everything on, beside the bare loop and a usual script."""
    from charrnn.options import ModelOptions, TrainerOptions
    from charrnn.training import hardware

    steps = effort.size(1000, 20)
    chosen = hardware.resolve(
        TrainerOptions("auto", 1, 1, "auto", "auto", None, 50, None, 5.0, "value"),
        ModelOptions("lstm", 64, 128, 2, 0.0, False),
        50,
    )
    peers = [sys.executable, "-m"]
    bare = [
        *peers, "benchmarks.peers.bare", str(corpus.h5), str(corpus.json), "--steps", str(steps),
        "--precision", chosen.precision, "--threads", str(chosen.threads),
    ]  # fmt: skip
    plain = [*peers, "benchmarks.peers.plain", str(corpus.text), "--steps", str(steps)]
    names = (f"train-{number}" for number in itertools.count())

    def peer(command: list[str]) -> float:
        ended = run(command, Path.cwd())
        return ended.at("done") - ended.at("step 1")

    found = interleaved(
        {
            "charrnn": lambda: corpus.train(next(names), steps),
            "bare": lambda: peer(bare),
            "plain": lambda: peer(plain),
        },
        effort,
    )
    ours, off = found["charrnn"].median, found["charrnn"].disturbed
    each = 1000 / (steps - 1)
    of_bare, of_plain = ours / found["bare"].median, ours / found["plain"].median
    return [
        Row("training", "a step of charrnn train, all included", ours * each, "ms"),
        Row("training", "a step of the bare loop", found["bare"].median * each, "ms"),
        Row("training", "a step of the plain float32 script", found["plain"].median * each, "ms"),
        at_most("training", "charrnn / bare loop", of_bare, "", 1.10, off),
        at_most("training", "charrnn / plain script", of_plain, "", 0.55, off),
    ]


def start(corpus: Corpus, effort: Effort) -> list[Row]:
    """Time to the first step, and the memory of a run."""
    peaks = []
    numbers = itertools.count()

    def first_step() -> float:
        command = [
            *CHARRNN, "train", f"data.input_h5={corpus.h5}", f"data.input_json={corpus.json}",
            f"trainer.max_steps={effort.size(300, 5)}",
            f"hydra.run.dir={corpus.folder / f'start-{next(numbers)}'}",
        ]  # fmt: skip
        ended = run(command, corpus.folder)
        peaks.append(ended.peak_bytes / MEGABYTE)
        return ended.at("step 1 /")

    def call_help() -> float:
        return run([*CHARRNN, "--help"], corpus.folder).seconds

    found = interleaved({"step": first_step, "help": call_help}, effort)
    return [
        at_most("start", "to the first training step", found["step"].median, "s", 7),
        at_most("start", "peak memory of training", max(peaks), "MB", 700),
        at_most("start", "charrnn --help", found["help"].median, "s", 0.2),
    ]


def sampling(corpus: Corpus, effort: Effort) -> list[Row]:
    """Characters a second of the engines, and a whole `charrnn sample`."""
    from charrnn.model import Model

    model = Model(modelfile.load(corpus.model))
    length = effort.size(50_000, 100)

    def write(engine: str, streams: int) -> Callable[[], float]:
        each = max(10, length // streams)
        model.generate(length=50, num_samples=streams, seed=1, engine=engine)  # compiles, loads
        return lambda: (
            seconds(lambda: model.generate(length=each, num_samples=streams, seed=1, engine=engine))
            / (each * streams)
        )

    sample = [*CHARRNN, "sample", f"checkpoint={corpus.model}", "length=2000", "seed=1"]
    parts = {
        "numpy": write("numpy", 1),
        "64": write("numpy", 64),
        "process": lambda: run(sample, corpus.folder).seconds,
    }
    try:
        parts["compiled"] = write("numba", 1)
    except Exception as error:
        print(f"no compiled engine: {error}", file=sys.stderr)
    found = interleaved(parts, effort)
    speed = {name: 1 / found[name].median for name in parts if name != "process"}
    off = found["numpy"].disturbed
    unit = "characters/s"
    rows = [
        at_least("sampling", "one stream, NumPy", speed["numpy"], unit, 25_000, off),
        at_least("sampling", "64 streams, NumPy", speed["64"], unit, 120_000, off),
        at_most("sampling", "charrnn sample length=2000", found["process"].median, "s", 0.6, off),
    ]
    if "compiled" in speed:
        rows.append(
            at_least("sampling", "one stream, compiled", speed["compiled"], unit, 50_000, off)
        )
    return rows


def preprocessing(corpus: Corpus, effort: Effort) -> list[Row]:
    """`charrnn preprocess` on a gigabyte of ASCII and of text with multi-byte characters."""
    rows = []
    size = effort.size(1000 * MEGABYTE, 1000)
    kinds = {
        "ASCII": (corpus.text.read_bytes(), 60),
        "multi-byte": ("Ἐν ἀρχῇ ἦν ὁ λόγος, 太初有道，道與神同在 🙂. ".encode() * 20_000, 30),
    }
    for kind, (piece, bar) in kinds.items():
        text = corpus.folder / "large.txt"
        with open(text, "wb") as file:
            for _ in range(-(-size // len(piece))):
                file.write(piece)
        peaks = []

        def once(text: Path = text, peaks: list[float] = peaks) -> float:
            ended = run([*CHARRNN, "preprocess", f"input_txt={text}"], corpus.folder)
            peaks.append(ended.peak_bytes / MEGABYTE)
            return text.stat().st_size / ended.seconds / MEGABYTE

        found = measured(once, effort)
        name = f"{text.stat().st_size / MEGABYTE:,.0f} MB of {kind}"
        rows += [
            at_least("preprocessing", name, found.median, "MB/s", bar, found.disturbed),
            at_most("preprocessing", f"{kind}, peak memory", max(peaks), "MB", 300),
        ]
        for path in (text, text.with_suffix(".h5"), text.with_suffix(".json")):
            path.unlink()
    return rows


def evaluation(corpus: Corpus, effort: Effort) -> list[Row]:
    """The characters a second of evaluation, beside those of training."""
    from charrnn.allocation import keep_freed_memory
    from charrnn.evaluation import stream_loss
    from charrnn.network import network_of

    keep_freed_memory()
    network = network_of(modelfile.load(corpus.model))
    ids = open_data(corpus.h5, corpus.json).ids("val")
    steps = effort.size(500, 20)
    names = (f"evaluation-{number}" for number in itertools.count())

    def evaluate() -> float:
        began = time.perf_counter()
        stream_loss(network, ids)
        return len(ids) / (time.perf_counter() - began)

    def train() -> float:
        took = corpus.train(next(names), steps, "callbacks.sample_length=0")
        return (steps - 1) * WINDOW_CHARACTERS / took

    found = interleaved({"evaluate": evaluate, "train": train}, effort)
    ratio = found["evaluate"].median / found["train"].median
    return [
        Row("evaluation", "evaluation", found["evaluate"].median, "characters/s"),
        at_least("evaluation", "evaluation / training", ratio, "", 3, found["train"].disturbed),
    ]


SECTIONS: dict[str, Callable[[Corpus, Effort], list[Row]]] = {
    "training": training,
    "start": start,
    "sampling": sampling,
    "preprocessing": preprocessing,
    "evaluation": evaluation,
}
