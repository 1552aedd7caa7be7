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
from charrnn.generation.sampler import Sampler
from charrnn.models import model_file
from charrnn.models.trained import Trained, TrainedEnsemble, with_counts, zero_state
from charrnn.options.sampling import SamplingParams
from charrnn.runs.model_lookup import AnyPath, read_models
from charrnn.text.vocabulary import Vocabulary


class Model:
    """A trained model, or an ensemble of several, which averages their probabilities.

    The `logits` of an ensemble are the logarithms of the mean probabilities. Where all its members
    have counts of the same text, these are mixed in once.

    Attributes:
        trained: architecture, vocabulary, weights, and facts about the training; of an ensemble
            those of its `members`.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self._samplers: dict[tuple[str, int], Sampler] = {}

    def _sampler(self, counts: str, precision: int = 32) -> Sampler:
        """What writes with the counts or without, with weights of so many bits."""
        which = counts, precision
        if which not in self._samplers:
            self._samplers[which] = Sampler(with_counts(self.trained, counts), precision)
        return self._samplers[which]

    def __repr__(self) -> str:
        return f"Model({self})"

    def __str__(self) -> str:
        if len(self.trained.members) > 1:
            each = "; ".join(str(Model(member)) for member in self.trained.members)
            return f"ensemble of {len(self.trained.members)}: {each}"
        a = self.trained.members[0].architecture
        return f"{a.kind} {a.num_layers} x {a.hidden_size}, {len(self.vocabulary)} characters"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file.

        Raises:
            InputError: it is an ensemble, which has no file of its own.
            RunError: it cannot be written.
        """
        if isinstance(self.trained, TrainedEnsemble):
            raise InputError(f"{path}: an ensemble has no file of its own; save each of its models")
        model_file.save(Path(path), self.trained)

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters that it knows, in the order of their ids."""
        return self.trained.vocabulary

    def logits(self, text: str, counts: str = "auto") -> npt.NDArray[np.float32]:
        """The scores (T, V) of the character after each of a text's T, from the zero state.

        Args:
            counts: as for `score`; with counts the scores are ln p.

        Raises:
            InputError: a character is unknown.
        """
        ids, sampler = self.vocabulary.encode(text)[None], self._sampler(counts)
        return sampler.reader.read(ids, zero_state(sampler.model, 1))[0][0]

    def score(self, text: str, counts: str = "auto") -> float:
        """The mean loss, in nats per character, of all characters but the first.

        Args:
            counts: "auto": of the network and the counts that the model has, if any; "none": of
                the network; "only": of the counts.

        Raises:
            InputError: a character is unknown, or there are fewer than two.
        """
        from charrnn.evaluation.stream_losses import compute_stream_loss
        from charrnn.networks.ensemble import any_network_of

        network = any_network_of(with_counts(self.trained, counts))
        return compute_stream_loss(network, self._scored_ids(text)).loss

    def losses(self, text: str, counts: str = "auto") -> npt.NDArray[np.float32]:
        """The loss (T - 1,), in nats, of each of a text's T characters but the first.

        Their mean is `score`; divided by ln 2 they are bits.

        Args, Raises: as those of `score`.
        """
        from charrnn.evaluation.stream_losses import compute_stream_loss
        from charrnn.networks.ensemble import any_network_of

        ids = self._scored_ids(text)
        losses = np.empty(len(ids) - 1, np.float32)
        compute_stream_loss(any_network_of(with_counts(self.trained, counts)), ids, losses=losses)
        return losses

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
        options = SamplingParams(length=length, start_text=start_text, num_samples=1, **how)
        pieces = self._sampler(counts, options.precision).write(
            options
        )  # outside the generator: it may refuse
        return (piece.text for piece in pieces if piece.text)


def load(
    path: AnyPath | Sequence[AnyPath] | None = None, *, weights: Sequence[float] | None = None
) -> Model:
    """Load a model: a run folder's best, a .ckpt, a model file (.safetensors), or a .t7.

    Without a path it is the newest run below outputs/ that has a model; after a sweep its best.
    What a file is, its content says rather than its name. Nothing in it is executed. A list of
    paths gives their ensemble, a list of one path the model alone.

    Args:
        weights: of an ensemble's models, in proportion; None: all the same.

    Raises:
        InputError: names the path and says why there is no model to load, or why the models
            do not go together; or there is not one weight for each.
    """
    return Model(read_models(path, weights))
