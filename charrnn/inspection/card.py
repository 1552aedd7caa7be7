"""A model's card: what it is, and how it came to be, in a few lines of name and value."""

from __future__ import annotations

import math
from pathlib import Path

from charrnn.models.trained import Architecture, TrainedModel

Card = list[tuple[str, str]]


def card(model: TrainedModel) -> Card:
    """What is known of a model; no path of the machine that it was made on is among it."""
    a, facts = model.architecture, model.facts
    known: Card = [("network", network(a)), ("parameters", f"{parameters(model):,}")]
    kind = "bytes" if model.vocabulary.is_bytes else "characters"
    known.append(("vocabulary", f"{len(model.vocabulary):,} {kind}"))
    corpus = facts.get("input_h5")
    if isinstance(corpus, str) and corpus:
        known.append(("corpus", Path(corpus).stem))
    step, epoch, loss = (facts.get(name) for name in ("step", "epoch", "val_loss"))
    if isinstance(step, int):
        passes = f", {epoch:.2f} times through the text" if isinstance(epoch, float) else ""
        known.append(("trained", f"{step:,} steps{passes}"))
    if isinstance(loss, float) and math.isfinite(loss):
        bits = f"{loss / math.log(2):.3f} bits"
        known.append(("validation loss", f"{loss:.4f} nats per character, {bits}"))
    return known


def network(a: Architecture) -> str:
    """An architecture in words."""
    layers = f"{a.num_layers} layers" if a.num_layers > 1 else "1 layer"
    words = [f"{a.kind.replace('_', ' ')}, {layers} of {a.hidden_size} units"]
    words.append(f"characters as {a.embedding_size} numbers")
    if a.dropout:
        words.append(f"dropout {a.dropout:g} in training")
    words += [name for name in ("batchnorm", "layernorm") if getattr(a, name)]
    if a.skip != "none":
        words.append(f"skip connections ({a.skip})")
    return ", ".join(words)


def parameters(model: TrainedModel) -> int:
    """How many numbers a model has; PyTorch's second biases are counted only if they are any."""
    return sum(
        weight.size
        for name, weight in model.weights.items()
        if not ("running_" in name or (name.endswith("bias_hh_l0") and not weight.any()))
    )
