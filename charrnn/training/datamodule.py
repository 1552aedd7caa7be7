"""Load a text in Lightning: windows for training, whole texts for validation.

A window is a batch ``(ids, targets, begins)``: ids and targets (N, T) int64 from 0, and whether it
is the first window of the text, for which the network's state is zero.

A loader does not store its position: Lightning counts the batches of an epoch and saves the count,
and the loader reads it. So a checkpoint cannot contradict its loader.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from charrnn.data import EncodedText, SplitIds, Streams, cut_streams, fit_sizes, open_data
from charrnn.errors import InputError
from charrnn.options.datasets import DataOptions
from charrnn.text.background import Background
from charrnn.text.preprocessing import prepare_files, require_pair
from charrnn.text.prompt import PRIMER_FACT, choose_primer, get_primer_slice
from charrnn.text.punctuation import MAX_READ, PUNCTUATION_FACT, describe_punctuation
from charrnn.text.sources import as_name_list
from charrnn.text.vocabulary import Vocabulary
from charrnn.training.lightning_loops import count_windows

BLOCK_IDS = 1 << 20  # ids that are copied from the file, and to a GPU, at once

# ids (N, T), targets (N, T), and whether it is the first window of the text
Window = tuple[Tensor, Tensor, bool]


class TextDataModule(L.LightningDataModule):
    """A text that is cut into parallel streams, which are cut into windows.

        data = TextDataModule("my.txt", batch_size=50, seq_length=50)
        data.prepare_data()
        data.setup("fit")

    Args:
        input_txt: the text: a file, a list of files, a folder (its *.txt), a glob, or the name of
            a corpus. It is preprocessed once, into the cache, and again when it changes.
        options: other fields of `charrnn.DataOptions`, as `charrnn train --help` explains them:
            val_frac=0.2, encoding="bytes", or input_h5= and input_json= instead of the text.
            `batch_size` is the total of all ranks; None means 32. `seed` shuffles the text,
            together with the number of the epoch.

    Validation and test have a single batch, a `WholeText`, where a `LanguageModel` scores the whole
    split. Other modules, loops without a Trainer, and limits such as ``limit_val_batches=0.1`` get
    windows, as in training.

    `batch_size` may be set until training starts, as `charrnn.decide` chooses it.

    Raises:
        InputError: a value is out of its range, or (in `setup`) the text cannot be used.
        TypeError: an option does not exist.

    Attributes:
        earlier: the text of the model from which training starts; it is counted too.
    """

    def __init__(
        self,
        input_txt: str | os.PathLike[str] | list[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        options["input_txt"] = input_txt
        plain = {n: os.fspath(v) if isinstance(v, os.PathLike) else v for n, v in options.items()}
        self.options = DataOptions(**plain)
        self.batch_size = self.options.batch_size or 32
        self.seq_length = self.options.seq_length
        self.shuffle = self.options.shuffle
        self.seed = self.options.seed or 0
        self.earlier: EncodedText | None = None
        self._encoded: EncodedText | None = None

    def prepare_data(self) -> None:
        """Download and preprocess the text, unless this is already done."""
        _ = self._files

    def setup(self, stage: str | None = None) -> None:
        """Open the encoded text."""
        if self._encoded is None:
            self._encoded = open_data(*self._files)

    @cached_property
    def _files(self) -> tuple[Path, Path]:
        """The HDF5 and JSON files of the text."""
        return prepare_files(self.options)

    @property
    def encoded(self) -> EncodedText:
        """The ids of the splits."""
        if self._encoded is None:
            raise InputError("the data is not loaded yet; call prepare_data() and setup() first")
        return self._encoded

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters, in the order of their ids."""
        return self.encoded.vocabulary

    @property
    def source(self) -> str | list[str]:
        """The text as its user names it: `input_txt`, or else the HDF5 file."""
        return self.options.input_txt or str(self.encoded.path)

    @property
    def streams(self) -> Streams:
        """The streams of the training split, for all ranks, before shuffling."""
        size = len(self.encoded.splits["train"])
        require_pair(self.source, size)
        sizes = fit_sizes(size, self.batch_size, self.seq_length)
        return cut_streams(self.encoded, "train", *sizes)

    @property
    def facts(self) -> dict[str, Any]:
        """The files, encoding and sizes of the data, which a model file stores for evaluation."""
        streams, group = self.streams, _count_accumulated_windows(self.trainer)
        return {
            **self.encoded.facts,
            "input_txt": self.options.input_txt,
            "encoding": self.options.encoding,
            "streams": streams.batch_size,
            "window": streams.seq_length,
            "characters_a_step": streams.batch_size * streams.seq_length * group,
            **({PRIMER_FACT: self._primer} if self._primer else {}),
            PUNCTUATION_FACT: self._punctuation,
        }

    @property
    def resume_facts(self) -> dict[str, Any]:
        """The other texts that are counted, which a resume compares besides `facts`."""
        earlier = {} if self.earlier is None else self.earlier.facts
        return {"background": self.background_fingerprint, "earlier": earlier}

    @cached_property
    def background_fingerprint(self) -> str | None:
        """A hash of the background when it was first read: later changes of its files are none."""
        return self.background.fingerprint

    @cached_property
    def _primer(self) -> str:
        """A short text to start samples, if possible from the validation split."""
        ids = self.split("val") or self.encoded.get_split("train")
        return choose_primer(self.vocabulary.decode(ids[get_primer_slice(len(ids))].tolist()))

    @cached_property
    def _punctuation(self) -> dict[str, Any]:
        """How the training split uses its marks."""
        ids = self.encoded.get_split("train")[:MAX_READ].tolist()
        return describe_punctuation(self.vocabulary.decode(ids))

    @property
    def background(self) -> Background:
        """The texts that are counted in addition to the training text."""
        names = as_name_list(self.options.background or [])
        encoding = "bytes" if self.vocabulary.is_bytes else self.options.encoding
        wrap = self.encoded.wrap if self.options.input_txt is None else self.options.wrap
        return Background(names, encoding, self.vocabulary, wrap, self.earlier)

    def split(self, name: str) -> SplitIds | None:
        """Return the ids of a split, or None if it is too short for a loss (2 characters)."""
        ids = self.encoded.get_split(name)
        return ids if len(ids) >= 2 else None

    def train_dataloader(self) -> Windows:
        return Windows(self.streams, self.trainer, self.seed if self.shuffle else None)

    def val_dataloader(self) -> TextLoader | Windows | list[Any]:
        return self._build_loader("val")

    def test_dataloader(self) -> TextLoader | Windows | list[Any]:
        return self._build_loader("test")

    def _build_loader(self, name: str) -> TextLoader | Windows | list[Any]:
        if (ids := self.split(name)) is None:
            return []
        module = None if self.trainer is None else self.trainer.lightning_module
        limit = getattr(self.trainer, f"limit_{name}_batches", None)
        is_whole = isinstance(limit, float) and limit == 1.0
        if is_whole and getattr(module, "scores_whole_text", False):
            return TextLoader(ids)
        sizes = fit_sizes(len(ids), self.batch_size, self.seq_length)
        return Windows(cut_streams(self.encoded, name, *sizes))


class WholeText:
    """A batch that is a whole text, as the window (ids, targets, begins) of a single stream.

    ids and targets are (1, n - 1). `LanguageModel` reads the text from `ids` instead, in blocks,
    and all ranks score it together.
    """

    def __init__(self, ids: SplitIds) -> None:
        self.ids = ids

    def __iter__(self) -> Iterator[Any]:
        ids = torch.from_numpy(self.ids[:])[None]
        return iter((ids[:, :-1], ids[:, 1:], True))


class TextLoader:
    """A loader with a single batch, the whole text."""

    def __init__(self, ids: SplitIds) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[WholeText]:
        yield WholeText(self.ids)


class Windows(DataLoader[Window]):
    """torch's loader, of this rank's windows of an epoch. A resume starts from the next window.

    The epoch decides the order of the streams; torch's sampler is not used.
    With gradient accumulation, incomplete groups of windows at the end of an epoch are skipped.

    Args:
        dataset: the streams of all ranks.
        trainer: the data module's trainer; None if the loader is used without the data module.
            Then, and when this trainer is not training, each iteration is a new epoch.
        seed: shuffles the streams in each epoch; None: no shuffling.
        options: those with which Lightning and Fabric make the loader again.
    """

    def __init__(
        self,
        dataset: Streams,
        trainer: L.Trainer | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dataset, **{"batch_size": dataset.batch_size, **options})  # type: ignore[arg-type]
        self.streams = dataset
        self.trainer = trainer
        self.seed = seed
        self._epoch = 0  # the next epoch outside of a training of the trainer

    def __len__(self) -> int:
        group = _count_accumulated_windows(self.trainer)
        return max(1, len(self.streams) // group * group)

    def state_dict(self) -> dict[str, Any]:
        """Return {}. With this method, Lightning accepts that a resume starts within an epoch."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.trainer is None:
            raise InputError(
                "a loader without its data module cannot resume; give the data module: "
                "fit(module, data, ckpt_path=...)"
            )

    def __iter__(self) -> Iterator[Window]:  # type: ignore[override]
        if self.trainer is None or not self.trainer.training:
            start, end, epoch, device = 0, len(self), self._epoch, torch.device("cpu")
            self._epoch += 1
        else:
            # Lightning has restored its counts when it requests the first window.
            start, _ = count_windows(self.trainer)
            if len(self) < self.trainer.num_training_batches:  # in a CombinedLoader
                start %= len(self)
            end = int(min(len(self), self.trainer.num_training_batches))
            epoch, device = self.trainer.current_epoch, self.trainer.strategy.root_device
            if getattr(self.trainer, "overfit_batches", 0):
                epoch = 0  # the same windows in each epoch
        streams, width = self._select_streams(epoch), self.streams.seq_length
        block_windows = max(1, BLOCK_IDS // (streams.batch_size * width))
        for block_start in range(start, end, block_windows):
            block_end = min(end, block_start + block_windows)
            block = streams.read_windows(block_start, block_end)
            ids = torch.from_numpy(block).to(device)
            for index in range(block_start, block_end):
                at = (index - block_start) * width
                yield ids[:, at : at + width], ids[:, at + 1 : at + width + 1], index == 0

    def _select_streams(self, epoch: int) -> Streams:
        """Return this rank's streams of the shuffled text, which is the same on all ranks."""
        streams, ranks = self.streams, torch.distributed
        if self.seed is not None:
            streams = streams.shuffle(self.seed, epoch)
        if ranks.is_available() and ranks.is_initialized():
            streams = streams.select_rank(ranks.get_rank(), ranks.get_world_size())
        return streams


def as_window(batch: Any) -> Window:
    """Convert a batch to a window. A batch without the third item starts from the zero state."""
    ids, targets, *begins = batch
    return ids, targets, bool(begins[0]) if begins else True


def _count_accumulated_windows(trainer: L.Trainer | None) -> int:
    """Return the number of windows whose gradients are accumulated for a step."""
    return 1 if trainer is None else trainer.accumulate_grad_batches
