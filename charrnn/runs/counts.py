"""`model=counts`: a run that counts its text and trains no network.

It leaves .hydra/, metrics.csv with its val/loss and model.safetensors. There is no checkpoint,
since there is nothing to go on with: a resume counts again.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from charrnn import registry
from charrnn.counts import ALONE, MAX_CONTEXT, Counts
from charrnn.errors import InputError
from charrnn.models import model_file
from charrnn.models.trained import Architecture, TrainedModel
from charrnn.runs import world
from charrnn.runs.fit import Inputs
from charrnn.runs.folder import link_latest, record
from charrnn.runs.spec import Result, RunSpec
from charrnn.say import BITS_PER_NAT, say
from charrnn.training import MetricsCSV
from charrnn.training.checkpoints import MODEL
from charrnn.training.counting import MOST, beside, counted

# what needs a network, or more than the moment that counting takes
_NOT_FOR_COUNTS = ("init_from", "distill_from", "budget")


def is_of_counts(run: RunSpec) -> bool:
    return run.config.model.kind == registry.COUNTS


def count_alone(run: RunSpec, here: world.World) -> Result:
    """Count the training split, with the context that predicts the validation split best.

    Raises:
        InputError: an option needs a network, or there is no validation split.
    """
    for name in _NOT_FOR_COUNTS:
        if getattr(run.config, name) is not None:
            raise InputError(f"{name}: model=counts has no network; leave it out")
    if here.launcher:
        raise InputError("model=counts: counts in one process; start it without a launcher")
    data = Inputs.read(run).data
    train, val = data.split("train"), data.split("val")
    assert train is not None
    if val is None or len(val) < 2:
        raise InputError(
            "model=counts: the validation split says how long contexts are; give data.val_frac"
        )
    assert data.files is not None
    config = replace(run.config, seed=data.seed, resume=None)
    record(replace(run, config=config, files=data.files))
    link_latest(run.folder)
    if run.source is not None:
        say("model=counts: there is nothing to go on with; the text is counted again")
    began = time.perf_counter()
    options = config.callbacks.get("counts", {})
    most = options.get("characters") or MOST
    size = len(data.vocabulary)
    say(f"corpus: {data.encoded.path}, vocabulary {size}, train {len(train)}, val {len(val)}")
    context, cache_file = options.get("context", MAX_CONTEXT), beside(data.encoded.path)
    found = counted(train, val, size, context, most, cache_file=cache_file)
    assert found is not None
    table, loss = found.table, found.loss
    say(f"model: counts, contexts of {table.context} characters; {len(table.characters):,} entries")
    facts = {**data.facts, "step": 0, "epoch": None, "val_loss": loss}
    architecture = Architecture(
        kind=registry.COUNTS, embedding_size=1, hidden_size=1, num_layers=1, vocabulary_size=size
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in architecture.shapes().items()}
    model = TrainedModel(architecture, data.vocabulary, weights, facts, Counts(table, ALONE))
    model_file.save(run.folder / MODEL, model)
    metrics = MetricsCSV(run.folder)
    metrics.log_metrics({"val/loss": loss, "val/bits_per_character": loss * BITS_PER_NAT}, 0)
    metrics.finalize("success")
    return Result(run.folder, loss, 0, time.perf_counter() - began)
