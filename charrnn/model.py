"""The Python face: load a model, look at its scores, let it write.

A model file is read with NumPy and safetensors alone; torch is imported for a training
checkpoint, for `Model.score`, and for the torch engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from charrnn.errors import InputError
from charrnn.generation.numpy_engine import beginning
from charrnn.generation.sampler import Sampler
from charrnn.models import model_file
from charrnn.models.ensemble import Trained, TrainedEnsemble, read_models, with_counts
from charrnn.models.trained import TrainedModel
from charrnn.options.sampling import SamplingParams
from charrnn.text.vocabulary import Vocabulary

Paths = list[str] | list[os.PathLike[str]] | tuple[str | os.PathLike[str], ...]


class Predictor:
    """What predicts characters and writes: a trained model, or several as one."""

    def __init__(self, predicts: Trained) -> None:
        self._predicts = predicts
        self._samplers: dict[tuple[str, int], Sampler] = {}

    def _sampler(self, counts: str, precision: int = 32) -> Sampler:
        """What writes with the counts or without, with weights of so many bits."""
        which = counts, precision
        if which not in self._samplers:
            self._samplers[which] = Sampler(with_counts(self._predicts, counts), precision)
        return self._samplers[which]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters that it knows, in the order of their ids."""
        return self._predicts.vocabulary

    def logits(self, text: str, counts: str = "auto") -> npt.NDArray[np.float32]:
        """The scores (T, V) of the character after each of a text's T, from the zero state.

        Args:
            counts: as for `score`; with counts the scores are ln p.

        Raises:
            InputError: a character is unknown.
        """
        ids, sampler = self.vocabulary.encode(text)[None], self._sampler(counts)
        return sampler.engines.reader.read(ids, beginning(sampler.model, 1))[0][0]

    def score(self, text: str, counts: str = "auto") -> float:
        """The mean loss, in nats per character, of all characters but the first.

        Args:
            counts: "auto": of the network and the counts that the model has, if any; "none": of
                the network; "only": of the counts.

        Raises:
            InputError: a character is unknown, or there are fewer than two.
        """
        from charrnn.evaluation.stream_losses import stream_loss
        from charrnn.network_ensemble import any_network_of

        network = any_network_of(with_counts(self._predicts, counts))
        return stream_loss(network, self._scored_ids(text)).loss

    def losses(self, text: str, counts: str = "auto") -> npt.NDArray[np.float32]:
        """The loss (T - 1,), in nats, of each of a text's T characters but the first.

        Their mean is `score`; divided by ln 2 they are bits.

        Args, Raises: as those of `score`.
        """
        from charrnn.evaluation.stream_losses import character_losses
        from charrnn.network_ensemble import any_network_of

        return character_losses(
            any_network_of(with_counts(self._predicts, counts)), self._scored_ids(text)
        )

    def _scored_ids(self, text: str) -> npt.NDArray[np.int64]:
        ids = self.vocabulary.encode(text)
        if len(ids) < 2:
            raise InputError(f"a text of {len(ids)} characters has no loss; it needs two or more")
        return ids

    @overload
    def generate(
        self, length: int = ..., start_text: str = ..., *, num_samples: None = ...,
        **how: Any,
    ) -> str: ...  # fmt: skip
    @overload
    def generate(
        self, length: int = ..., start_text: str = ..., *, num_samples: int,
        **how: Any,
    ) -> list[str]: ...  # fmt: skip

    def generate(
        self,
        length: int = 2000,
        start_text: str = "",
        *,
        num_samples: int | None = None,
        counts: str = "auto",
        **how: Any,
    ) -> str | list[str]:
        """Write new text.

        Args:
            length: new characters.
            start_text: what the text goes on from; it is not repeated.
            num_samples: write so many texts, side by side.
            counts: as for `score`: what is written by.
            how: any other field of `charrnn.SamplingParams`, as `charrnn sample --help` explains
                them: temperature=0.8, seed=1, min_p=0.05, until="\\n" and more.

        Returns:
            The new characters; with `num_samples` a list of that many texts.

        Raises:
            InputError: a value is out of its range, or start_text has an unknown character.
            TypeError: there is no option of a name.
        """
        number = 1 if num_samples is None else num_samples
        options = SamplingParams(length=length, start_text=start_text, num_samples=number, **how)
        texts: list[list[str]] = [[] for _ in range(number)]
        for piece in self._sampler(counts, options.precision).write(options):
            texts[piece.sample].append(piece.text)
        joined = ["".join(pieces) for pieces in texts]
        return joined[0] if num_samples is None else joined

    def stream(
        self, length: int = 2000, start_text: str = "", *, counts: str = "auto", **how: Any
    ) -> Iterator[str]:
        """The text that `generate` returns, in pieces as they are written."""
        options = SamplingParams(length=length, start_text=start_text, **how)
        pieces = self._sampler(counts, options.precision).write(
            options
        )  # outside the generator: it may refuse
        return (piece.text for piece in pieces if piece.text)


class Model(Predictor):
    """A trained model.

    Attributes:
        trained: its architecture, vocabulary, weights, and facts about its training.
    """

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__(trained)
        self.trained = trained

    def __str__(self) -> str:
        a = self.trained.architecture
        return f"{a.kind} {a.num_layers} x {a.hidden_size}, {len(self.vocabulary)} characters"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file.

        Raises:
            RunError: it cannot be written.
        """
        model_file.save(Path(path), self.trained)


class Ensemble(Predictor):
    """Several trained models as one, which averages their probabilities, weighted or not.

    Its `logits` are the logarithms of the mean probabilities. Where all have counts of the same
    text, these are mixed in once.

    Attributes:
        members: the models, their characters all in the order of the first one's.
    """

    def __init__(self, trained: TrainedEnsemble) -> None:
        super().__init__(trained)
        self.members = [Model(member) for member in trained.members]

    def __str__(self) -> str:
        return f"ensemble of {len(self.members)}: " + "; ".join(map(str, self.members))


@overload
def load(path: str | os.PathLike[str] | None = ...) -> Model: ...
@overload
def load(path: Paths, *, weights: Sequence[float] | None = ...) -> Predictor: ...


def load(
    path: str | os.PathLike[str] | Paths | None = None, *, weights: Sequence[float] | None = None
) -> Predictor:
    """Load a model: a run folder's best, a .ckpt, a model file (.safetensors), or a .t7.

    Without a path it is the newest run below outputs/ that has a model; after a sweep its best.
    What a file is, its content says rather than its name. Nothing in it is executed. A list of
    paths gives an `Ensemble`, a list of one path the model alone.

    Args:
        weights: of an ensemble's models, in proportion; None: all the same.

    Raises:
        InputError: names the path and says why there is no model to load, or why the models
            do not go together; or there is not one weight for each.
    """
    trained = read_models(path, weights)
    return Ensemble(trained) if isinstance(trained, TrainedEnsemble) else Model(trained)
