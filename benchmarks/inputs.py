"""Prepare the inputs of the sections: a folder with a text, its ids and a trained model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import CHARRNN, Ended, read_peak_memory, run

PEERS = Path(__file__).parent / "peers"
STEPS = 1000  # of the training of the model


@dataclass(frozen=True)
class Inputs:
    """The inputs of the sections, and the amount of work.

    Attributes:
        folder: the folder in which the programs run.
        text: the training text of all programs.
        rounds: the number of measurements of every part.
        scale: the share of the full sizes (steps, bytes, characters).
        read_memory: see `benchmarks.measuring.run`.
    """

    folder: Path
    text: Path
    rounds: int
    scale: float
    read_memory: Callable[[int], int] = read_peak_memory

    @property
    def ids(self) -> tuple[Path, Path]:
        """The text as HDF5 and JSON."""
        return self.folder / "text.h5", self.folder / "text.json"

    @property
    def model(self) -> Path:
        """The model file of a short training with torch-rnn's recipe."""
        return self.folder / "model" / "model.safetensors"

    def prepare(self) -> None:
        """Write the ids, and train the model."""
        h5, json = self.ids
        options = (f"output_h5={h5}", f"output_json={json}")
        self.run_charrnn("preprocess", f"input_txt={self.text}", *options)
        limit = f"trainer.max_steps={self.scale_size(STEPS, least=5)}"
        run_folder = f"hydra.run.dir={self.model.parent}"
        self.train("experiment=torch_rnn", "trainer=cpu", limit, run_folder)

    def scale_size(self, full: int, least: int = 1) -> int:
        """Return the number of steps, bytes or characters at this scale."""
        return max(least, round(full * self.scale))

    def run_charrnn(self, *words: str) -> Ended:
        """Run a command of charrnn."""
        return self._run(*CHARRNN, *words)

    def train(self, *words: str) -> Ended:
        """Run `charrnn train` on the ids."""
        h5, json = self.ids
        return self.run_charrnn("train", f"data.input_h5={h5}", f"data.input_json={json}", *words)

    def run_peer(self, name: str, *words: str) -> Ended:
        """Run a program of `benchmarks.peers`."""
        return self._run(sys.executable, str(PEERS / f"{name}.py"), *words)

    def _run(self, *command: str) -> Ended:
        return run(command, self.folder, self.read_memory)
