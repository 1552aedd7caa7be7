"""The Python API: load a model, compute logits and losses, generate text.

A model file needs only NumPy and safetensors. torch is imported for a training checkpoint, for
`Model.score` and `Model.losses`, for cells that NumPy lacks, and for GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError
from charrnn.generation.sampler import Sampler, group_by_sample
from charrnn.models import model_file
from charrnn.models.trained import State, TrainedModel, select_counts, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.processors import choose_device
from charrnn.runs.model_lookup import AnyPath, read_model
from charrnn.text.vocabulary import Vocabulary


class Model:
    """A trained model.

    Attributes:
        trained: the architecture, vocabulary, weights, counts, and facts about the training.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self._samplers: dict[tuple[str, bool], Sampler] = {}

    def _sampler(self, counts: str, plain: bool = False) -> Sampler:
        """Return the sampler for this use of the counts, or for the plain network."""
        key = counts, plain
        if key not in self._samplers:
            self._samplers[key] = Sampler(select_counts(self.trained, counts, plain))
        return self._samplers[key]

    def __repr__(self) -> str:
        a = self.trained.architecture
        return f"{a.kind} {a.num_layers} x {a.hidden_size}, {len(self.vocabulary)} characters"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file.

        Args:
            path: the file to write.

        Raises:
            RunError: the file cannot be written.
        """
        model_file.save(Path(path), self.trained)

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters that the model knows, in the order of their ids."""
        return self.trained.vocabulary

    def logits(self, text: str, counts: str = "auto") -> npt.NDArray[np.float32]:
        """Return the logits (T, V) of the next character after each of the T characters of a text.

        Args:
            text: the text, whose first character follows nothing.
            counts: like in `score`. With counts, the logits are log-probabilities.

        Raises:
            InputError: a character is unknown.
        """
        ids, sampler = self.vocabulary.encode(text)[None], self._sampler(counts)
        return sampler.reader.read(ids, zero_state(sampler.model, 1))[0][0]

    def step(
        self, ids: npt.ArrayLike, state: State | None = None, counts: str = "auto"
    ) -> tuple[npt.NDArray[np.float32], State]:
        """Return the logits (N, V) after one more character of N streams, and their state.

        It is a step of the sampler, for another filter or decoder.

        Args:
            ids: (N,), a character of each stream, such as ``model.vocabulary.encode("a")``.
            state: the state that the last step returned; None for the beginning. It is not changed.
            counts: like in `score`. With counts, the logits are log-probabilities.

        Raises:
            InputError: an id is not in the vocabulary, or the state is of another model or another
                number of streams.
        """
        ids, size = np.asarray(ids), len(self.vocabulary)
        are_ids = ids.dtype.kind in "iu" and ((ids >= 0) & (ids < size)).all()
        if ids.ndim != 1 or not ids.size or not are_ids:
            raise InputError(f"ids={ids.tolist()}: must be one or more ids below {size}")
        sampler = self._sampler(counts)
        start = zero_state(sampler.model, len(ids))
        state = start if state is None else state
        if _list_shapes(state) != _list_shapes(start):
            raise InputError(f"state: is none of {len(ids)} streams of this model")
        return sampler.reader.step(ids.astype(np.int64), state)

    def score(self, text: str, counts: str = "auto", device: str = "auto") -> float:
        """Return the mean loss of all characters but the first, in nats per character.

        Args:
            text: a text of at least two characters.
            counts: "auto" uses the network and the model's counts, if any; "none" uses only the
                network; "only" uses only the counts.
            device: "auto" (a CUDA GPU if there is one, else the CPU), "cpu", "cuda" or "mps".

        Raises:
            InputError: a character is unknown, there are fewer than two, or torch cannot use the
                device here.
        """
        return float(self.losses(text, counts, device).mean(dtype=np.float64))

    def losses(
        self, text: str, counts: str = "auto", device: str = "auto"
    ) -> npt.NDArray[np.float32]:
        """Return the loss (T - 1,) of each of the T characters of a text but the first, in nats.

        The first number is the loss of the second character, -ln p(character | all before it).
        Their mean is `score`, which explains the arguments and errors. Divide by ln 2 for bits.
        """
        from charrnn.evaluation import compute_stream_loss
        from charrnn.networks.network import make_any_network

        ids = self.vocabulary.encode(text)
        if len(ids) < 2:
            raise InputError(f"a text of {len(ids)} characters has no loss; it needs two or more")
        losses = np.empty(len(ids) - 1, np.float32)
        network = make_any_network(select_counts(self.trained, counts)).to(choose_device(device))
        compute_stream_loss(network, ids, losses=losses)
        return losses

    def generate(
        self,
        length: int = 2000,
        start_text: str = "",
        *,
        num_samples: int | None = None,
        counts: str = "auto",
        **how: Any,
    ) -> Any:
        """Write new text.

        Args:
            length: the number of new characters.
            start_text: the text to continue; the result does not repeat it.
            num_samples: the number of texts, which are written in batches.
            counts: like in `score`.
            how: all other fields of `charrnn.SamplingParams`: temperature=0.8, seed=1,
                until="\\n" and more.

        Returns:
            The new text; with `num_samples` a list of new texts.

        Raises:
            InputError: a value is out of range, or start_text contains an unknown character.
            TypeError: an argument is unknown.
        """
        number = 1 if num_samples is None else num_samples
        params = SamplingParams(length=length, start_text=start_text, num_samples=number, **how)
        pieces = self._sampler(counts, params.plain).write(params)
        texts = ["".join(text) for _, text in group_by_sample(pieces)]
        return texts[0] if num_samples is None else texts

    def stream(
        self, length: int = 2000, start_text: str = "", *, counts: str = "auto", **how: Any
    ) -> Iterator[str]:
        """Yield the text that `generate` returns for these arguments, while it is written."""
        params = SamplingParams(length=length, start_text=start_text, **how)
        # Wrong arguments raise InputError here, not with the first piece.
        pieces = self._sampler(counts, params.plain).write(params)
        return (piece.text for piece in pieces if piece.text)


def _list_shapes(state: State) -> list[list[tuple[int, ...]]]:
    return [[vectors.shape for vectors in layer] for layer in state]


def load(path: AnyPath | None = None) -> Model:
    """Load a model. No code in its file is executed.

    Args:
        path: a run folder, whose best model is loaded, or a file (.safetensors, .ckpt or .t7). The
            default is the newest run below outputs/ that has a model, or the best of a sweep.

    Raises:
        InputError: there is no model at the path.
    """
    return Model(read_model(path))
