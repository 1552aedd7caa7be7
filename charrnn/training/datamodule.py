"""The corpus as Lightning takes it: windows to train on, whole texts to validate on.

A window is a batch ``(ids, targets, begins)``: ids and targets (N, T) int64 from 0, and whether
the text begins with it, so that the network's state starts at zero. The loader says so, not a
counter of steps, and gradient accumulation or a part of an epoch change nothing in it.

Where a loader begins is not remembered here either: Lightning counts the batches of an epoch,
saves the count, and the loader asks for it. A checkpoint thus cannot disagree with its iterator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from charrnn.data import EncodedText, SplitIds, Streams, cut_streams, fit_sizes, open_data
from charrnn.errors import InputError
from charrnn.options.datasets import DataOptions, without_default_corpus
from charrnn.say import say
from charrnn.text.background import Background
from charrnn.text.preprocessing import prepare_files
from charrnn.text.prompt import PRIMER_FACT, choose_primer, get_primer_slice
from charrnn.text.sources import as_name_list
from charrnn.text.vocabulary import Vocabulary

BLOCK_IDS = 1 << 20  # copied from the file, and to a GPU, at once

# ids (N, T), targets (N, T), whether the text begins here
Window = tuple[Tensor, Tensor, bool]


class TextDataModule(L.LightningDataModule):
    """A text, cut into parallel streams and these into windows.

        data = TextDataModule("my.txt", batch_size=50, seq_length=50)
        data.prepare_data()
        data.setup("fit")

    Args:
        input_txt: the text: a file, a list of files, a folder (its *.txt) or a glob. It is
            preprocessed once, beside the text or in the cache, and again when it changes.
        seed: of the shuffling, together with the epoch's number.
        validation: what a batch of validation and test is: ``text``, a `WholeText`, which
            `LanguageModel` scores whole; or ``windows``, as those of training, for a module of
            one's own.
        encoded: the text, if it is open already; then nothing is preprocessed.
        earlier: the text of the model from which a training starts, which is counted too.
        beside_the_text: whether the preprocessed text may lie beside the text, or in the cache
            only.
        options: other fields of `charrnn.DataOptions`, as `charrnn train --help=all` explains them:
            val_frac=0.2, encoding="bytes", or input_h5= and input_json= instead of the text.
            `batch_size` is that of all processes together; None is 32.

    ``charrnn train`` sets up one data module to decide the sizes by its text, and trains on a
    second one that has these sizes. The first has the default `batch_size` if the user gives none.

    Raises:
        InputError: a value is out of its range, or (at `setup`) the text cannot be used.
        TypeError: there is no option of a name.
    """

    def __init__(
        self,
        input_txt: str | os.PathLike[str] | list[str] | None = None,
        *,
        seed: int = 0,
        validation: Literal["text", "windows"] = "text",
        encoded: EncodedText | None = None,
        earlier: EncodedText | None = None,
        beside_the_text: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        if validation not in ("text", "windows"):
            raise InputError(f"data.validation={validation!r}: must be text or windows")
        self.validation = validation
        given = {"input_txt": input_txt, **options}
        plain = {n: os.fspath(v) if isinstance(v, os.PathLike) else v for n, v in given.items()}
        self.options = DataOptions(**plain)
        without_default_corpus(vars(self.options), ["data.corpus"])
        self.batch_size = self.options.batch_size or 32
        self.seq_length = self.options.seq_length
        self.shuffle = self.options.shuffle
        self.seed = seed
        self.earlier = earlier
        self._beside_the_text = beside_the_text
        self._encoded = encoded

    def prepare_data(self) -> None:
        """Download and preprocess the text, where that was not done yet."""
        if self._encoded is None:
            _ = self._files

    def setup(self, stage: str | None = None) -> None:
        """Open the encoded text."""
        if self._encoded is None:
            self._encoded = open_data(*self._files)

    @cached_property
    def _files(self) -> tuple[Path, Path]:
        """The HDF5 and JSON files of the text."""
        return prepare_files(self.options, say, self._beside_the_text)

    @property
    def encoded(self) -> EncodedText:
        """The ids of the splits."""
        if self._encoded is None:
            raise InputError("the data is not there yet; call prepare_data() and setup() first")
        return self._encoded

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters, in the order of their ids."""
        return self.encoded.vocabulary

    @property
    def streams(self) -> Streams:
        """The training split as it is trained on, in all processes together; not shuffled yet.

        Raises:
            InputError: it has less than 2 characters.
        """
        size = len(self.encoded.splits["train"])
        try:
            sizes = fit_sizes(size, self.batch_size, self.seq_length)
        except ValueError:
            raise InputError(
                f"{self.encoded.path}: its training split has {size} characters, and training "
                f"needs 2 or more; give a longer text, or smaller data.val_frac and data.test_frac"
            ) from None
        return cut_streams(self.encoded, "train", *sizes)

    @property
    def facts(self) -> dict[str, Any]:
        """Where the data lies and how it was read, for whoever evaluates a model of it."""
        streams, group = self.streams, _group_of(self.trainer)
        return {
            **self.encoded.facts,
            "encoding": self.options.encoding,
            "streams": streams.batch_size,
            "window": streams.seq_length,
            "characters_a_step": streams.batch_size * streams.seq_length * group,
            **({PRIMER_FACT: self._primer} if self._primer else {}),
        }

    @cached_property
    def _primer(self) -> str:
        """Text for a model to begin from: of the validation split, or of what there is."""
        for name in ("val", "train"):
            if (ids := self.split(name)) is not None:
                text = self.vocabulary.decode(ids[get_primer_slice(len(ids))].tolist())
                return choose_primer(text)
        return ""

    @property
    def background(self) -> Background:
        """The texts that are counted beside this one."""
        names = as_name_list(self.options.background or [])
        encoding = "bytes" if self.vocabulary.is_bytes else self.options.encoding
        return Background(names, encoding, self.vocabulary, self.earlier)

    def split(self, name: str) -> SplitIds | None:
        """The ids of a split, if it has the two characters that a loss needs."""
        ids = self.encoded.get_split(name)
        return ids if len(ids) >= 2 else None

    def train_dataloader(self) -> Windows:
        return Windows(self.streams, self.trainer, self.seed if self.shuffle else None)

    def val_dataloader(self) -> TextLoader | Windows | list[Any]:
        return self._evaluated("val")

    def test_dataloader(self) -> TextLoader | Windows | list[Any]:
        return self._evaluated("test")

    def __getstate__(self) -> dict[str, Any]:
        # an open file does not go to another process, which opens it again in `setup`
        return {**self.__dict__, "_encoded": None, "earlier": None}

    def _evaluated(self, name: str) -> TextLoader | Windows | list[Any]:
        if (ids := self.split(name)) is None:
            return []
        if self.validation == "text":
            return TextLoader(ids)
        sizes = fit_sizes(len(ids), self.batch_size, self.seq_length)
        return Windows(cut_streams(self.encoded, name, *sizes))


class WholeText:
    """A batch: a text that is scored whole, by all processes together."""

    def __init__(self, ids: SplitIds) -> None:
        self.ids = ids

    def __iter__(self) -> Iterator[Tensor]:
        yield torch.empty(1)  # by which Lightning sees that its batch size is 1


class TextLoader:
    """A loader of one batch."""

    def __init__(self, ids: SplitIds) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[WholeText]:
        yield WholeText(self.ids)


class Windows:
    """This process's windows of an epoch, from the one that comes next.

    With gradient accumulation, only whole groups of windows are trained: a checkpoint between
    two windows of a group would lose the gradient so far.

    Args:
        streams: of all processes together.
        trainer: of the data module; None where the loader alone was given to a Trainer, or to
            a loop of one's own. Then each iteration is the next epoch, from its beginning.
        seed: shuffles them anew in each epoch; None: they stay as they are.
    """

    def __init__(
        self, streams: Streams, trainer: L.Trainer | None = None, seed: int | None = None
    ) -> None:
        self.streams = streams
        self.trainer = trainer
        self.seed = seed
        self._epochs = 0  # begun without a trainer

    def __len__(self) -> int:
        group = _group_of(self.trainer)
        return max(1, self.streams.num_windows // group * group)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: Lightning asks every loader that can go on in the middle for its state."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.trainer is None:
            raise InputError(
                "a loader alone does not know where to go on; give the data module: "
                "fit(module, data, ckpt_path=...)"
            )

    def __iter__(self) -> Iterator[Window]:
        if self.trainer is None:
            first, last, epoch, device = 0, len(self), self._epochs, torch.device("cpu")
            self._epochs += 1
        else:
            # read when the first window is asked for: by then Lightning has restored its counts
            first, last = self.trainer.fit_loop.batch_idx + 1, self._last(self.trainer)
            epoch, device = self.trainer.current_epoch, self.trainer.strategy.root_device
            if self.trainer.overfit_batches:
                epoch = 0  # the same windows each time
        streams, width = self._streams(epoch), self.streams.seq_length
        at_once = max(1, BLOCK_IDS // (streams.batch_size * width))
        for start in range(first, last, at_once):
            block = streams.read_windows(start, min(last, start + at_once))
            ids = torch.from_numpy(block).to(device)
            for index in range(start, min(last, start + at_once)):
                at = (index - start) * width
                yield ids[:, at : at + width], ids[:, at + 1 : at + width + 1], index == 0

    def _streams(self, epoch: int) -> Streams:
        streams = self.streams if self.seed is None else self.streams.shuffle(self.seed, epoch)
        # shuffled before it is shared out, so that several processes train what one does
        if self.trainer is not None:
            return streams.select_rank(self.trainer.global_rank, self.trainer.world_size)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return streams.select_rank(
                torch.distributed.get_rank(), torch.distributed.get_world_size()
            )
        return streams

    def _last(self, trainer: L.Trainer) -> int:
        """Where an epoch of this trainer ends; a resume at its very end asks for one more."""
        return int(min(len(self), trainer.num_training_batches))


def _group_of(trainer: L.Trainer | None) -> int:
    """Windows whose gradients are added up."""
    return 1 if trainer is None else trainer.accumulate_grad_batches
