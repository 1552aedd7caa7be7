"""The loss in parallel rows is that of one stream; cold windows."""

from __future__ import annotations

import copy
import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch.nn import functional as F

from charrnn import LanguageModel, TextDataModule, evaluation
from charrnn.data import EncodedText
from charrnn.evaluation import (
    compute_stream_loss,
    compute_window_loss,
)
from charrnn.models.trained import Architecture
from charrnn.networks.network import Network
from charrnn.options.cells import CELLS
from charrnn.processors import get_torch_pool
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import Patch
from tests.small_runs import skip_without_bf16


@pytest.fixture
def short_rows(monkeypatch: Patch) -> None:
    """Score several rows in each of several threads."""
    monkeypatch.setattr(evaluation, "SHORTEST_ROW", 600)
    monkeypatch.setattr(evaluation, "WARM_UP", 300)


def text(size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 11, size)


def network(kind: str, dropout: float = 0.0, batchnorm: bool = False) -> Network:
    torch.manual_seed(3)
    return Network(Architecture(kind, 8, 16, 2, dropout, batchnorm, vocabulary_size=11))


def losses_of_one_stream(net: Network, ids: np.ndarray) -> np.ndarray:
    """Compute by the definition: by character in float64, from the zero state."""
    with torch.no_grad():
        logits, _ = copy.deepcopy(net).double().eval()(torch.from_numpy(ids[None, :-1]))
    return -torch.log_softmax(logits[0], -1)[torch.arange(len(ids) - 1), ids[1:]].numpy()


def one_stream(net: Network, ids: np.ndarray) -> float:
    return float(losses_of_one_stream(net, ids).mean())


@pytest.mark.parametrize(("most", "at_once", "threads"), [(7, 3000, 3), (40, 100, 1)])
def test_any_number_of_rows_and_threads_gives_the_loss_of_one_stream(
    monkeypatch: Patch, short_rows: None, most: int, at_once: int, threads: int
) -> None:
    monkeypatch.setattr(evaluation, "ROWS_PER_THREAD", most)
    monkeypatch.setattr(evaluation, "LOGITS_AT_ONCE", at_once)
    ids, net, before = text(6_011), network("lstm"), torch.get_num_threads()
    losses, seen = np.empty(len(ids) - 1, np.float32), set[int]()
    net.decoder.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    torch.set_num_threads(threads)
    try:
        get_torch_pool.cache_clear()
        loss = compute_stream_loss(net, ids, losses=losses).loss
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert seen == {1}  # several would wait for each other beside other programs
    assert abs(loss - one_stream(net, ids)) < 1e-5
    np.testing.assert_allclose(losses, losses_of_one_stream(net, ids), atol=1e-4)


@pytest.mark.parametrize(("size", "world_size"), [(6_011, 3), (40, 50)])
def test_parts_of_processes_are_the_whole(short_rows: None, size: int, world_size: int) -> None:
    ids, net = text(size), network("lstm")
    parts = [compute_stream_loss(net, ids, rank, world_size) for rank in range(world_size)]
    ends = [(size - 1) * part // world_size for part in range(world_size + 1)]
    counts = [last - first for first, last in itertools.pairwise(ends)]
    assert [part.characters for part in parts] == counts  # some ranks may have no part
    assert abs(sum(part.total for part in parts) / (size - 1) - one_stream(net, ids)) < 1e-5


def test_ids_are_read_piece_by_piece(short_rows: None, tmp_path: Path) -> None:
    stored = np.random.default_rng(5).integers(1, 12, 10_003).astype("u1")
    encoded = EncodedText(tmp_path, tmp_path, Vocabulary(list("abcdefghijk")), {"val": stored})
    unread, net = encoded.get_split("val"), network("gru")
    score = compute_stream_loss(net, unread)
    assert score == compute_stream_loss(net, stored.astype(np.int64) - 1)


@pytest.mark.parametrize(("room", "most"), [(6_010, 32), (900, 1)])
def test_logits_of_a_text_or_of_its_start_are_kept(
    monkeypatch: Patch, short_rows: None, room: int, most: int
) -> None:
    monkeypatch.setattr(evaluation, "ROWS_PER_THREAD", most)
    net, ids, logits = network("gru"), text(6_011), np.full((room, 11), np.nan, np.float16)
    with torch.no_grad():
        net.decoder.bias += 1000  # float16 would be coarse there
    losses = np.zeros(6_010, np.float32)
    compute_stream_loss(net, ids, threads=2, losses=losses, logits=logits)
    targets = torch.from_numpy(ids[1 : room + 1])
    found = F.cross_entropy(torch.from_numpy(logits).float(), targets, reduction="none")
    np.testing.assert_allclose(found.numpy(), losses[:room], atol=3e-3)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("size", "window"), [(2, 5), (1000, 7), (999, 10**9), (2, 0), (4097, 0)])
def test_the_loss_is_that_of_one_stream_or_of_windows(kind: str, size: int, window: int) -> None:
    """Read a text as one stream (where `window` is 0), or each window alone."""
    net, ids, total = network(kind, dropout=0.5, batchnorm=True), text(size), 0.0
    for start in range(0, size - 1, window or size):
        part = ids[start : start + (window or size) + 1]
        total += one_stream(net, part) * (len(part) - 1)
    compute = partial(compute_window_loss, window=window) if window else compute_stream_loss
    score = compute(net, ids)
    assert score.characters == size - 1
    assert score.loss == pytest.approx(total / (size - 1), abs=1e-5)
    assert net.training


@pytest.mark.parametrize("part", [2, 1.0])
def test_a_validation_in_bf16_computes_in_float32(workplace: Path, part: float) -> None:
    """Validate two windows, or the whole text."""
    skip_without_bf16("bf16-mixed")
    data = TextDataModule("corpus.txt", batch_size=4, seq_length=10)
    data.setup()
    module = LanguageModel(data.vocabulary, hidden_size=64, embedding_size=16)
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing"), False)
    losses = []
    for precision in ("bf16-mixed", "32-true"):
        trainer = Trainer(accelerator="cpu", limit_val_batches=part, precision=precision, **quiet)
        (found,) = trainer.validate(module, data, verbose=False)
        losses.append(found["val/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
