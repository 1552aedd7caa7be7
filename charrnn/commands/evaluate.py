"""`charrnn evaluate`: the loss of a checkpoint on a split or a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charrnn.cli.options import EvaluateOptions
from charrnn.errors import InputError
from charrnn.say import say

if TYPE_CHECKING:
    from charrnn.data import SplitIds
    from charrnn.models.trained import TrainedModel


def run(options: EvaluateOptions) -> None:
    """Print the loss, as lines or as one JSON object."""
    import json

    from charrnn.model import load

    trained = load(options.checkpoint).trained
    split, ids = _ids(options, trained)
    if len(ids) < 2:
        raise InputError(f"split={split}: has {len(ids)} characters, and a loss needs 2 or more")
    if ids.unknown:
        say(
            f"unknown=skip: {ids.unknown} of {ids.unknown + len(ids)} characters are not among "
            f"the {len(trained.vocabulary)} that the model knows; the rest is scored"
        )

    from tqdm import tqdm

    from charrnn.allocation import keep_freed_memory
    from charrnn.evaluation import stream_loss
    from charrnn.network import network_of

    keep_freed_memory()
    with tqdm(
        total=len(ids) - 1, unit=" characters", unit_scale=True, delay=2, disable=None
    ) as bar:
        score = stream_loss(
            network_of(trained), ids, report=lambda done, total: bar.update(done - bar.n)
        )
    values = {
        "split": split,
        "characters": score.characters,
        **({"unknown": ids.unknown} if options.unknown == "skip" else {}),
        "loss": score.loss,
        "bits_per_character": score.bits_per_character,
        "perplexity": score.perplexity,
    }
    if options.json:
        print(json.dumps(values))
    else:
        print(f"{split}: {score.characters} characters")
        print(f"loss {score.loss:.4f} nats per character")
        print(f"{score.bits_per_character:.4f} bits per character")
        print(f"perplexity {score.perplexity:.4f}")


def _ids(options: EvaluateOptions, trained: TrainedModel) -> tuple[str, SplitIds]:
    """What is scored, and its ids (n,) in the model's vocabulary."""
    from pathlib import Path

    from charrnn.data import SplitIds, open_data, translated

    data, skip = options.data, options.unknown == "skip"
    if data.input_txt is not None:
        from charrnn.text.known import read_known

        # the encoding of the text that the model was trained on
        default = "bytes" if trained.vocabulary.is_bytes else "utf-8"
        encoding = str(trained.facts.get("encoding", default))
        known = read_known(data.input_txt, encoding, trained.vocabulary, skip=skip)
        return "text", SplitIds.of(known)
    h5, json = data.input_h5, data.input_json
    if h5 is None or json is None:
        h5, json = trained.facts.get("input_h5"), trained.facts.get("input_json")
        if not isinstance(h5, str) or not isinstance(json, str):
            raise InputError(
                f"checkpoint={options.checkpoint}: does not say what it was trained on; give "
                f"data.input_txt=, or data.input_h5= and data.input_json="
            )
    encoded = open_data(Path(h5), Path(json))
    return options.split, translated(encoded, options.split, trained.vocabulary, skip=skip)
