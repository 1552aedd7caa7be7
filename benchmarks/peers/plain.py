"""A typical script for a character-level nn.LSTM in float32, with PyTorch's defaults.

It has one deep nn.LSTM, Adam, clipping by norm, and a loop that reads the loss of every step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


class CharLSTM(nn.Module):
    """An embedding, a deep nn.LSTM and a decoder."""

    def __init__(self, vocabulary_size: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.fc = nn.Linear(hidden, vocabulary_size)

    def forward(
        self, x: torch.Tensor, hidden: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        output, hidden = self.lstm(self.embedding(x), hidden)
        return self.fc(output), hidden


def read_batches(
    ids: np.ndarray, batch_size: int, seq_length: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the inputs and the targets (N, T) of each window."""
    count = (len(ids) - 1) // (batch_size * seq_length)
    x = ids[: count * batch_size * seq_length].reshape(batch_size, -1)
    y = ids[1 : count * batch_size * seq_length + 1].reshape(batch_size, -1)
    for start in range(0, x.shape[1], seq_length):
        yield x[:, start : start + seq_length], y[:, start : start + seq_length]


def main() -> None:
    """Train on a text, with torch-rnn's sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()

    with open(options.text, encoding="utf-8") as file:
        text = file.read()
    characters = sorted(set(text))
    index = {c: i for i, c in enumerate(characters)}
    ids = np.array([index[c] for c in text])[: int(0.8 * len(text))]

    model = CharLSTM(len(characters), 64, 128, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.CrossEntropyLoss()
    step = 0
    while step < options.steps:
        hidden = (torch.zeros(2, 50, 128), torch.zeros(2, 50, 128))
        for x, y in read_batches(ids, 50, 50):
            hidden = (hidden[0].detach(), hidden[1].detach())
            optimizer.zero_grad()
            output, hidden = model(torch.from_numpy(x), hidden)
            loss = criterion(output.reshape(-1, len(characters)), torch.from_numpy(y).reshape(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5)
            optimizer.step()
            step += 1
            value = loss.item()
            if step in (1, options.steps):
                print(f"step {step:,}, loss {value:.3f}", file=sys.stderr, flush=True)
            if step == options.steps:
                break


if __name__ == "__main__":
    main()
