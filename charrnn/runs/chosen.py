"""What the length of a text decides where nothing is said: how long to train, what to drop.

Both are counted in what was measured to matter, windows trained and how often each character
is seen, not in epochs: 50 epochs of 30 kB are over before anything is learnt, and 50 of
100 MB take days. docs/results.md has the runs.
"""

from __future__ import annotations

import math

from charrnn.runs.plan import total_steps
from charrnn.runs.request import Config

# characters that a run trains on, windows of all its steps together ...
CHARACTERS = 20_000_000
# ... and how often it sees each, at most: a small text is known by heart by then
MOST_EPOCHS = 60
# the share that is dropped: nothing if each character is seen once, and more each time
# that this doubles
DROPOUT_A_DOUBLING, MOST_DROPOUT = 0.08, 0.5
# from one checkpoint and validation to the next, a share of the run, at most so many steps
SHARE_BETWEEN, MOST_BETWEEN = 20, 1000


def by_length(config: Config, windows: int, sizes: tuple[int, int]) -> Config:
    """A config with what it leaves open, each as null, decided.

    Args:
        windows: training steps in an epoch.
        sizes: streams, and characters of each in a step.
    """
    trainer, model = dict(config["trainer"]), dict(config["model"])
    step = math.prod(sizes)
    if trainer["max_epochs"] is None and trainer["max_steps"] is None:
        trainer["max_steps"] = max(1, min(CHARACTERS // step, MOST_EPOCHS * windows))
    steps = total_steps({"trainer": trainer}, windows)
    if model["dropout"] is None:
        doublings = math.log2(max(1.0, steps / windows))
        model["dropout"] = round(min(MOST_DROPOUT, DROPOUT_A_DOUBLING * doublings), 2)
    between = config["checkpoint_every"]
    if between is None:
        between = max(1, min(MOST_BETWEEN, steps // SHARE_BETWEEN))
    return {**config, "trainer": trainer, "model": model, "checkpoint_every": between}
