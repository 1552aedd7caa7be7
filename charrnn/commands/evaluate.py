"""`charrnn evaluate`: the loss of a checkpoint on a split or a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charrnn.cli.options import EvaluateOptions
from charrnn.errors import InputError

if TYPE_CHECKING:
    from charrnn.data import Ids, SplitIds
    from charrnn.evaluation import Score
    from charrnn.models.trained import TrainedModel


def run(options: EvaluateOptions) -> None:
    """Print the loss, as lines or as one JSON object."""
    import json

    from charrnn.model import load

    trained = load(options.checkpoint).trained
    split, ids = _ids(options, trained)
    if len(ids) < 2:
        raise InputError(f"split={split}: has {len(ids)} characters, and a loss needs 2 or more")

    score = _scored(options, trained, ids)
    values = {
        "split": split,
        "characters": score.characters,
        **({} if options.window is None else {"window": options.window}),
        "loss": score.loss,
        "bits_per_character": score.bits_per_character,
        "perplexity": score.perplexity,
    }
    if options.json:
        print(json.dumps(values))
        return
    how = "" if options.window is None else f", in cold windows of {options.window}"
    print(f"{split}: {score.characters} characters{how}")
    print(f"loss {score.loss:.4f} nats per character")
    print(f"{score.bits_per_character:.4f} bits per character")
    print(f"perplexity {score.perplexity:.4f}")


def _scored(options: EvaluateOptions, trained: TrainedModel, ids: Ids | SplitIds) -> Score:
    """The loss, with a bar on standard error when that takes long."""
    from tqdm import tqdm

    from charrnn.allocation import keep_freed_memory
    from charrnn.evaluation import require_numbers, stream_loss, windows_loss
    from charrnn.network import network_of

    keep_freed_memory()
    network = network_of(trained)
    with tqdm(
        total=len(ids) - 1, unit=" characters", unit_scale=True, delay=2, disable=None
    ) as bar:

        def report(done: int, total: int) -> None:
            bar.update(done - bar.n)

        if options.window is None:
            score = stream_loss(network, ids, report=report)
        else:
            score = windows_loss(network, ids, options.window, report=report)
    return require_numbers(score)


def _ids(options: EvaluateOptions, trained: TrainedModel) -> tuple[str, Ids | SplitIds]:
    """What is scored, and its ids (n,) in the model's vocabulary."""
    from pathlib import Path

    from charrnn.data import open_data, translated

    data = options.data
    if data.input_txt is not None:
        from charrnn.text.preprocessing import read_text

        # the encoding of the text that the model was trained on
        default = "bytes" if trained.vocabulary.is_bytes else "utf-8"
        text = read_text(data.input_txt, str(trained.facts.get("encoding", default)))
        try:
            return "text", trained.vocabulary.encode(text)
        except InputError as error:
            raise InputError(f"data.input_txt={data.input_txt}: {error}") from None
    h5, json = data.input_h5, data.input_json
    if h5 is None or json is None:
        h5, json = trained.facts.get("input_h5"), trained.facts.get("input_json")
        if not isinstance(h5, str) or not isinstance(json, str):
            raise InputError(
                f"checkpoint={options.checkpoint}: does not say what it was trained on; give "
                f"data.input_txt=, or data.input_h5= and data.input_json="
            )
    encoded = open_data(Path(h5), Path(json))
    return options.split, translated(encoded, options.split, trained.vocabulary)
