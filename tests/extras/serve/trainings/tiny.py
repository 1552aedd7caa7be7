"""Trainings that take seconds."""

from __future__ import annotations

import random

TINY = (
    *("trainer=cpu", "threads=1", "trainer.precision=32-true", "trainer.max_steps=2000"),
    *("model.hidden_size=16", "model.embedding_size=8", "model.num_layers=1"),
    *("data.batch_size=4", "data.seq_length=10", "checkpoint_every=500", "print_every=20"),
    "callbacks.samples.length=20",
)


def write_text(seed: int = 1) -> bytes:
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "Zoë", "run.\n"]
    chooser = random.Random(seed)
    return " ".join(chooser.choice(words) for _ in range(406)).encode()
