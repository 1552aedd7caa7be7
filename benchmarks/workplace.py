"""The temporary folder of the benchmarks, with the text, the data and the model they need."""

from __future__ import annotations

import dataclasses
import sys
from functools import cached_property
from pathlib import Path

from benchmarks.measuring import Effort, Ended, run
from charrnn.text.corpora import fetch_corpus

REPOSITORY = Path(__file__).resolve().parents[1]
CHARRNN = [sys.executable, "-m", "charrnn"]
# The step of torch-rnn's recipe, which the peers also use: 50 streams of 50 characters.
STREAMS, LENGTH = 50, 50


@dataclasses.dataclass
class Workplace:
    """A temporary folder.

    Attributes:
        folder: empty, on a disk with 10 GB of free space.
        given_text: a corpus to use instead of the default.
    """

    folder: Path
    effort: Effort
    given_text: Path | None = None
    _runs: int = 0

    @cached_property
    def text(self) -> Path:
        """The training text of all programs."""
        beside = REPOSITORY.parent / "shared" / "data" / "tiny-shakespeare.txt"
        if self.given_text is not None or beside.is_file():
            return self.given_text or beside
        return fetch_corpus("shakespeare")

    @cached_property
    def data(self) -> tuple[Path, Path]:
        """The corpus as HDF5 and JSON."""
        h5, json = self.folder / "corpus.h5", self.folder / "corpus.json"
        self.charrnn("preprocess", f"input_txt={self.text}", f"output_h5={h5}")
        return h5, json

    @property
    def data_options(self) -> list[str]:
        h5, json = self.data
        return [f"data.input_h5={h5}", f"data.input_json={json}"]

    def charrnn(self, *words: str) -> Ended:
        """Run a command of charrnn to its end."""
        return run([*CHARRNN, *words], self.folder)

    def train(self, *overrides: str, recipe: str = "torch_rnn") -> tuple[Ended, Path]:
        """Run `charrnn train` in a new run folder. The peers have a network of this size."""
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        words = ("train", f"experiment={recipe}", "trainer=cpu", f"hydra.run.dir={folder}")
        return self.charrnn(*words, *overrides), folder

    @cached_property
    def trained(self) -> Path:
        """A run folder with a model after a short training."""
        steps = self.effort.size(1000, least=5)
        return self.train(*self.data_options, f"trainer.max_steps={steps}")[1]


def measure_step(ended: Ended, steps: int, last: str) -> float:
    """Return the seconds per step of a program that prints `step 1`, and `last` at its end."""
    return (ended.find_time(last) - ended.find_time("step 1")) / (steps - 1)
