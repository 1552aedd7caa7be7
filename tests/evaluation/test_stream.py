"""The loss in parallel rows is the loss of one stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from charrnn.cells import CELLS
from charrnn.data import SplitIds, from_file_ids
from charrnn.errors import InputError
from charrnn.evaluation import carried, character_losses, part_loss, stream_loss
from charrnn.evaluation.carried import SHORTEST_ROW, KeptLogits
from tests.evaluation.networks import losses_of_one_stream, network, one_stream


@pytest.fixture
def short_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rows in each of several threads, of a text that one stream reads in no time."""
    monkeypatch.setattr(carried, "SHORTEST_ROW", 400)
    monkeypatch.setattr(carried, "LEAST_ROWS_A_THREAD", 2)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("size", [2, 3, 100, 2 * SHORTEST_ROW + 1])
def test_agrees_with_one_stream(kind: str, size: int) -> None:
    ids = np.random.default_rng(size).integers(0, 11, size)
    net = network(kind)
    score = stream_loss(net, ids)
    assert score.characters == size - 1
    assert abs(score.loss - one_stream(net, ids)) < 1e-4


@pytest.mark.usefixtures("short_rows")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_any_number_of_rows_and_threads(
    monkeypatch: pytest.MonkeyPatch, rows: int, threads: int
) -> None:
    monkeypatch.setattr(carried, "ROWS_A_THREAD", rows)
    monkeypatch.setattr("charrnn.evaluation.windows.LOGITS_AT_ONCE", 3000)
    ids = np.random.default_rng(5).integers(0, 11, 6_011)
    net = network("lstm")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        score = stream_loss(net, ids)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert score.characters == 6_010
    assert abs(score.loss - one_stream(net, ids)) < 1e-5


@pytest.mark.usefixtures("short_rows")
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("size", [2, 150, 6_011])
def test_the_losses_of_characters_are_those_of_one_stream(kind: str, size: int) -> None:
    ids = np.random.default_rng(size).integers(0, 11, size)
    net = network(kind)
    losses = character_losses(net, ids)
    assert losses.shape == (size - 1,)
    assert losses.mean(dtype=np.float64) == pytest.approx(stream_loss(net, ids).loss, abs=1e-6)
    np.testing.assert_allclose(losses, losses_of_one_stream(net, ids), atol=1e-4)


@pytest.mark.usefixtures("short_rows")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_long_memory_is_run_up_as_far_as_it_takes(threads: int) -> None:
    # forget gates of 0.998: what was 300 characters ago still has half its weight
    net = network("lstm")
    with torch.no_grad():
        for layer in net.recurrent:
            layer.bias_ih_l0[16:32] = 6.2
            layer.weight_ih_l0 *= 0.3
            layer.weight_hh_l0 *= 0.3
    ids = np.repeat(np.random.default_rng(5).integers(0, 11, 300), 40)
    exact = one_stream(net, ids)
    assert abs(stream_loss(net, ids, threads=threads).loss - exact) < 1e-4
    from_zero = [one_stream(net, part) for part in np.array_split(ids, 24)]
    assert abs(np.mean(from_zero) - exact) > 1e-3


@pytest.mark.usefixtures("short_rows")
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("world_size", [2, 3, 50])
def test_parts_of_several_processes_are_the_whole(kind: str, world_size: int) -> None:
    size = 6_011 if world_size < 10 else 40
    ids = np.random.default_rng(5).integers(0, 11, size)
    net = network(kind)
    parts = [part_loss(net, ids, rank, world_size) for rank in range(world_size)]
    assert abs(sum(parts) / (size - 1) - one_stream(net, ids)) < 1e-5


def test_ids_that_are_read_piece_by_piece(tmp_path: Path) -> None:
    stored = np.random.default_rng(5).integers(1, 12, 40_003).astype("u1")
    released = []
    unread = SplitIds(
        stored, lambda part: from_file_ids(part, 11, tmp_path), lambda: released.append(1)
    )
    net = network("gru")
    reports: list[tuple[int, int]] = []
    score = stream_loss(net, unread, report=lambda *numbers: reports.append(numbers))
    assert score == stream_loss(net, stored.astype(np.int64) - 1)
    assert released
    assert reports == sorted(reports)
    assert reports[-1] == (40_002, 40_002)


@pytest.mark.parametrize("where", [100, 25_000, 39_999])
def test_an_id_that_is_none_of_the_vocabulary(where: int) -> None:
    stored = np.ones(40_000, "u1")
    stored[where] = 12
    unread = SplitIds(stored, lambda part: from_file_ids(part, 11, Path("x.h5")))
    before = torch.get_num_threads()
    with pytest.raises(InputError, match=r"x\.h5: holds the id 12"):
        stream_loss(network("gru"), unread)
    assert torch.get_num_threads() == before


def test_disturbs_nothing() -> None:
    net = network("lstm", dropout=0.5, batchnorm=True)
    before = {name: w.clone() for name, w in net.state_dict().items()}
    random = torch.get_rng_state()
    ids = np.random.default_rng(5).integers(0, 11, 3000)
    assert stream_loss(net, ids) == stream_loss(net, ids)
    assert net.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(w, before[name]) for name, w in net.state_dict().items())


def test_units() -> None:
    net = network("rnn")
    with torch.no_grad():
        net.decoder.weight.zero_()
        net.decoder.bias.zero_()
    score = stream_loss(net, np.zeros(50, np.int64))
    assert score.loss == pytest.approx(np.log(11), rel=1e-6)
    assert score.bits_per_character == pytest.approx(np.log2(11), rel=1e-6)
    assert score.perplexity == pytest.approx(11, rel=1e-5)


def test_one_character_has_no_loss() -> None:
    with pytest.raises(ValueError, match="2 characters"):
        stream_loss(network("rnn"), np.zeros(1, np.int64))


def test_logits_that_are_kept_may_be_far_from_0() -> None:
    ids = SplitIds(np.arange(201) % 5)
    logits = torch.randn(2, 100, 5, generator=torch.Generator().manual_seed(0))
    for far in (0.0, 1000.0):
        kept = KeptLogits(room=1 << 20, before=3)
        kept.make_room(ids, 2, 5)
        kept.take(logits + far, range(2), 0)
        found = torch.from_numpy(kept.logits).float().log_softmax(-1)
        torch.testing.assert_close(found, logits.log_softmax(-1), atol=3e-3, rtol=0)
