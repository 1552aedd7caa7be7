"""Training on from a .t7 starts at the loss that it had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from charrnn.data import open_data
from charrnn.model import load
from charrnn.network import network_of
from charrnn.streams import cut_streams
from tests.small_runs import Train, metrics


@pytest.mark.parametrize("name", ["lstm.t7", "lstm.ascii.t7", "rnn.t7"])
def test_starts_at_its_loss(
    train: Train, shared: Path, tiny_shakespeare: Path, workplace: Path, name: str
) -> None:
    (workplace / "corpus.txt").write_bytes(tiny_shakespeare.read_bytes())
    t7 = shared / "torch7" / name
    small = ["trainer=cpu", "trainer.threads=1", "trainer.precision=32-true", "validate_every=0"]
    small += ["data.batch_size=50", "data.seq_length=50", "data.shuffle=false", "model.dropout=0"]
    run = train(
        *small,
        "data.input_txt=corpus.txt",
        f"init_from={t7}",
        "trainer.max_steps=1",
        small=False,
    )
    model = load(t7)
    data = open_data(workplace / "corpus.h5", workplace / "corpus.json")
    characters = data.vocabulary.characters
    inputs, targets = cut_streams(data, "train", 50, 50).window(0)
    ids = torch.tensor([model.vocabulary.encode(characters[i])[0] for i in range(len(characters))])
    with torch.no_grad():
        logits, _ = network_of(model.trained)(ids[torch.from_numpy(inputs)])
    expected = F.cross_entropy(logits.flatten(0, 1), ids[torch.from_numpy(targets)].flatten())
    assert float(metrics(run)[0]["train/loss"]) == pytest.approx(expected.item(), abs=1e-4)
    assert expected < 2.5


def test_the_fine_tuned_model_is_a_run_like_any_other(
    train: Train, shared: Path, tiny_shakespeare: Path, workplace: Path
) -> None:
    (workplace / "corpus.txt").write_text(tiny_shakespeare.read_text()[:20_000])
    t7 = shared / "torch7" / "lstm_bn.t7"
    few = ["trainer=cpu", "trainer.threads=1", "data.batch_size=5", "checkpoint_every=10"]
    run = train(
        *few, "data.input_txt=corpus.txt", f"init_from={t7}", "trainer.max_steps=20", small=False
    )
    assert load(run).trained.architecture.batchnorm
    assert len(load(run).generate(length=50, start_text="ROMEO:", seed=1)) == 50
