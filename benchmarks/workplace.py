"""Where the benchmarks work: a folder that is deleted, with the texts and the model they need."""

from __future__ import annotations

import dataclasses
import sys
from functools import cached_property
from pathlib import Path

from benchmarks.measuring import Effort, Ended, run

REPOSITORY = Path(__file__).resolve().parents[1]
CHARRNN = [sys.executable, "-m", "charrnn"]
# of torch-rnn's recipe, which peers have: 50 streams of 50 characters a step
STREAMS, LENGTH = 50, 50


@dataclasses.dataclass
class Workplace:
    """Attributes: folder: empty, on a disk with room for 6 GB; text: the corpus, if given."""

    folder: Path
    effort: Effort
    given_text: Path | None = None
    _runs: int = 0

    # -- the corpus ------------------------------------------------------------------------

    @cached_property
    def corpus(self) -> tuple[str, Path]:
        """Name and file of the text that all is trained on."""
        if self.given_text is not None:
            return self.given_text.name, self.given_text
        beside = REPOSITORY.parent / "shared" / "data" / "tiny-shakespeare.txt"
        if beside.is_file():
            return "tiny-shakespeare", beside
        from charrnn.text.corpora import corpus_text

        return "shakespeare", corpus_text("shakespeare", _say)

    @property
    def text(self) -> Path:
        return self.corpus[1]

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

    # -- charrnn, as a process -------------------------------------------------------------

    def charrnn(self, *words: str) -> Ended:
        """Run a command line of charrnn's to its end."""
        return run([*CHARRNN, *words], self.folder)

    def train(self, *overrides: str, recipe: str = "torch_rnn") -> tuple[Ended, Path]:
        """`charrnn train` in a run folder of its own; peers have the size of torch-rnn's recipe."""
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        words = ("train", f"experiment={recipe}", f"hydra.run.dir={folder}")
        return self.charrnn(*words, *overrides), folder

    @cached_property
    def trained(self) -> Path:
        """A run folder with a model that has learned something."""
        steps = self.effort.size(1000, least=5)
        return self.train(*self.data_options, f"trainer.max_steps={steps}")[1]


def seconds_a_step(ended: Ended, steps: int, last: str) -> float:
    """Of a program that says `step 1` and then `last`: the time between, a step."""
    return (ended.at(last) - ended.at("step 1")) / (steps - 1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
