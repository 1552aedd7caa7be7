"""The Python face: load a model, look at its scores, let it write.

A model file is read with NumPy and safetensors alone; torch is imported for a training
checkpoint, for `Model.score`, and for the torch engine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from charrnn import modelfile
from charrnn.errors import InputError
from charrnn.generation.sampler import Sampler
from charrnn.modelfile import TrainedModel
from charrnn.options import SampleOptions
from charrnn.text.vocabulary import Vocabulary

# What a run folder has of its model, the best first
IN_A_RUN = ("model.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt")

_ZIP = b"PK\x03\x04"
# a torch object or a table, in binary and in ascii
_TORCH7 = (b"\x04\0\0\0", b"\x03\0\0\0", b"4\n", b"3\n")


class Model:
    """A trained model.

    Attributes:
        trained: its architecture, vocabulary, weights, and facts about its training.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self._sampler = Sampler(trained)

    def __str__(self) -> str:
        a = self.trained.architecture
        return f"{a.kind} {a.num_layers} x {a.hidden_size}, {len(self.vocabulary)} characters"

    def __repr__(self) -> str:
        return f"Model({self})"

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters that it knows, in the order of their ids."""
        return self.trained.vocabulary

    def logits(self, text: str) -> npt.NDArray[np.float32]:
        """The scores (T, V) of the character after each of a text's T, from the zero state.

        Raises:
            InputError: a character is unknown.
        """
        engine = self._sampler.engines.numpy
        return engine.read(self.vocabulary.encode(text)[None], engine.zero_state(1))[0][0]

    def score(self, text: str) -> float:
        """The mean loss, in nats per character, of all characters but the first.

        Raises:
            InputError: a character is unknown, or there are fewer than two.
        """
        ids = self.vocabulary.encode(text)
        if len(ids) < 2:
            raise InputError(f"a text of {len(ids)} characters has no loss; it needs two or more")
        from charrnn.evaluation import score_ids

        return score_ids(self.trained, ids)

    @overload
    def generate(
        self, length: int = ..., start_text: str = ..., *, temperature: float = ...,
        seed: int | None = ..., sample: bool = ..., top_k: int | None = ...,
        top_p: float | None = ..., num_samples: None = ..., until: str | None = ...,
        engine: str = ...,
    ) -> str: ...  # fmt: skip
    @overload
    def generate(
        self, length: int = ..., start_text: str = ..., *, temperature: float = ...,
        seed: int | None = ..., sample: bool = ..., top_k: int | None = ...,
        top_p: float | None = ..., num_samples: int, until: str | None = ...,
        engine: str = ...,
    ) -> list[str]: ...  # fmt: skip

    def generate(
        self,
        length: int = 2000,
        start_text: str = "",
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        sample: bool = True,
        top_k: int | None = None,
        top_p: float | None = None,
        num_samples: int | None = None,
        until: str | None = None,
        engine: str = "auto",
    ) -> str | list[str]:
        """Write new text.

        Args:
            length: new characters.
            start_text: what the text goes on from; it is not repeated.
            temperature: below 1 more careful, above 1 wilder; 0: always the likeliest.
            seed: the same seed gives the same text; by default one is drawn.
            sample: False: always the likeliest character.
            top_k: choose among the k likeliest characters only.
            top_p: choose among the likeliest that together have this probability.
            num_samples: write so many texts, side by side.
            until: stop before this text.
            engine: auto, numpy, numba (compiled) or torch (GPU).

        Returns:
            The new characters; with `num_samples` a list of that many texts.

        Raises:
            InputError: a value is out of its range, or start_text has an unknown character.
        """
        options = _options(
            length, start_text, temperature, seed, sample, top_k, top_p,
            1 if num_samples is None else num_samples, until, engine,
        )  # fmt: skip
        texts: list[list[str]] = [[] for _ in range(options.num_samples)]
        for piece in self._sampler.write(options):
            texts[piece.sample].append(piece.text)
        joined = ["".join(pieces) for pieces in texts]
        return joined[0] if num_samples is None else joined

    def stream(
        self,
        length: int = 2000,
        start_text: str = "",
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        sample: bool = True,
        top_k: int | None = None,
        top_p: float | None = None,
        until: str | None = None,
        engine: str = "auto",
    ) -> Iterator[str]:
        """The text that `generate` returns, in pieces as they are written."""
        options = _options(
            length, start_text, temperature, seed, sample, top_k, top_p, 1, until, engine
        )
        pieces = self._sampler.write(options)  # outside the generator: it may refuse at once
        return (piece.text for piece in pieces if piece.text)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file.

        Raises:
            RunError: it cannot be written.
        """
        modelfile.save(Path(path), self.trained)


def _options(
    length: int,
    start_text: str,
    temperature: float,
    seed: int | None,
    sample: bool,
    top_k: int | None,
    top_p: float | None,
    num_samples: int,
    until: str | None,
    engine: str,
) -> SampleOptions:
    """Checked, as the command's own are."""
    return SampleOptions(
        checkpoint="",
        length=length,
        temperature=temperature,
        start_text=start_text,
        seed=seed,
        sample=sample,
        top_k=top_k,
        top_p=top_p,
        num_samples=num_samples,
        until=until,
        output=None,
        engine=engine,
    )


def load(path: str | os.PathLike[str] = "outputs/latest") -> Model:
    """Load a model: a run folder's best, a .ckpt, a model file (.safetensors), or a .t7.

    What a file is, its content says rather than its name. Nothing in it is executed.

    Raises:
        InputError: names the path and says why there is no model to load.
    """
    path = find(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return Model(_read(path, start))


def find(path: str | os.PathLike[str]) -> Path:
    """The file that `load` loads: the path itself, or the best model of a run folder.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{path}: {_missing(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read ({reason})") from None
    if stat.S_ISREG(mode):
        return path
    if not stat.S_ISDIR(mode):
        raise InputError(f"{path}: is no regular file")
    for name in IN_A_RUN:
        if (path / name).is_file():
            return path / name
    if (path / ".hydra").is_dir():
        raise InputError(
            f"{path}: has no model yet; the run writes one at its first validation or when it ends"
        )
    raise InputError(f"{path}: is no run folder; it has neither {IN_A_RUN[0]} nor checkpoints")


def _read(path: Path, start: bytes) -> TrainedModel:
    if start[8:] == b"{" or path.suffix == ".safetensors":
        return modelfile.load(path)
    if start.startswith(_ZIP) or path.suffix == ".ckpt":
        from charrnn.models import checkpoint

        return checkpoint.read_model(path)
    if start.startswith(_TORCH7) or path.suffix == ".t7":
        from charrnn import torch7

        return torch7.read_model(path)
    raise InputError(
        f"{path}: {'is no model' if start else 'is empty'}; a model is a run folder, its .ckpt, "
        f"a model file (.safetensors) or torch-rnn's .t7"
    )


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f"leads to {os.readlink(path)}, which is gone; name another run with checkpoint="
    return "no such file or folder; `charrnn train` makes a run and links outputs/latest to it"
