"""`charrnn evaluate`: print the loss of a model on a split or a text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from charrnn.errors import InputError, shorten
from charrnn.options.datasets import SourceOptions
from charrnn.options.ranges import COUNTS, DEVICE, PATH, interval, one_of

if TYPE_CHECKING:
    from charrnn.data import Ids, SplitIds
    from charrnn.evaluation import Score
    from charrnn.models.trained import TrainedModel


@dataclass
class EvaluateOptions:
    checkpoint: Annotated[str | None, PATH]
    split: Annotated[str, one_of("train", "val", "test")]
    data: SourceOptions
    counts: Annotated[str, COUNTS]
    window: Annotated[int | None, interval(ge=1)]
    device: Annotated[str, DEVICE]
    json: bool


OPTIONS = EvaluateOptions
FIRST_WORD = "checkpoint"


def run(options: EvaluateOptions) -> None:
    """Print the loss, as lines or as one JSON object."""
    from charrnn.models.trained import select_counts
    from charrnn.processors import choose_device, keep_freed_memory
    from charrnn.runs.model_lookup import read_model

    options = replace(options, device=choose_device(options.device))
    keep_freed_memory()
    trained = select_counts(read_model(options.checkpoint), options.counts)
    split, ids = _read_ids(options, trained)
    score = _compute_score(options, trained, split, ids)
    if options.json:
        facts = {"split": split, "characters": score.characters, **score.to_dict()}
        if options.window is not None:
            facts["window"] = options.window
        print(json.dumps(facts))
    else:
        heading = f"{split}: {score.characters} characters"
        if options.window is not None:
            heading += f", in windows of {options.window} from the zero state"
        loss, bits, perplexity = score.to_dict().values()
        print(f"{heading}\nloss {loss:.4f} nats per character\n{bits:.4f} bits per character")
        print(f"perplexity {perplexity:.4f}")


def _compute_score(
    options: EvaluateOptions, trained: TrainedModel, split: str, ids: Ids | SplitIds
) -> Score:
    """Return the loss of ids (n,)."""
    from charrnn.evaluation import compute_stream_loss, compute_window_loss
    from charrnn.networks.network import make_any_network

    if len(ids) < 2:
        where = "data.input_txt" if split == "text" else f"split={split}"
        raise InputError(f"{where}: has {len(ids)} characters, but a loss needs 2 or more")
    network = make_any_network(trained).to(options.device)
    if options.window is None:
        return compute_stream_loss(network, ids)
    return compute_window_loss(network, ids, options.window)


def _read_ids(options: EvaluateOptions, trained: TrainedModel) -> tuple[str, Ids | SplitIds]:
    """Return the split's name and its ids (n,) in the model's vocabulary."""
    from charrnn.data import encode_pieces, encode_split, open_data, open_training_data
    from charrnn.text.sources import as_name_list, read_pieces
    from charrnn.text.wrap import get_wrap

    data = options.data
    if data.input_txt is not None:
        wrap = get_wrap(trained.facts) if options.window is None else "keep"
        name = f"data.input_txt={shorten(', '.join(as_name_list(data.input_txt)))}"
        pieces = read_pieces(data.input_txt, trained.encoding, wrap)
        return "text", encode_pieces(pieces, trained.vocabulary, name)
    if data.input_h5 is not None and data.input_json is not None:
        encoded = open_data(Path(data.input_h5), Path(data.input_json))
    else:
        try:
            encoded = open_training_data(trained.facts)
        except InputError as error:
            raise InputError(
                f"split={options.split}: {error}; name the data with data.input_h5= and "
                f"data.input_json=, or another text with data.input_txt="
            ) from None
    return options.split, encode_split(encoded, options.split, trained.vocabulary)
