"""`charrnn evaluate`: the loss of a checkpoint on a split or a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charrnn.cli.checked_options import written
from charrnn.errors import InputError
from charrnn.options.commands import EvaluateOptions
from charrnn.say import say, scoring_progress

if TYPE_CHECKING:
    from charrnn.data import SplitIds
    from charrnn.evaluation import Score
    from charrnn.models.ensemble import Trained


def run(options: EvaluateOptions) -> None:
    """Print the loss, as lines or as one JSON object."""
    import json

    from charrnn.models.ensemble import read_models, with_counts

    trained = with_counts(read_models(options.checkpoint, options.weights), options.counts)
    split, ids = _ids(options, trained)
    if len(ids) < 2:
        raise InputError(f"split={split}: has {len(ids)} characters, and a loss needs 2 or more")
    if ids.unknown:
        say(
            f"unknown=skip: {ids.unknown} of {ids.unknown + len(ids)} characters are not among "
            f"the {len(trained.vocabulary)} that the model knows; the rest is scored"
        )

    if trained.counts is not None and split == "train":
        say("split=train: is the text that was counted; of it the counts know every character")
    score = _scored(options, trained, ids)
    losses = _losses(options, trained, ids, score)
    count = len(trained.members)
    name = "" if count == 1 else f"ensemble of {count}"
    values: dict[str, Any] = {
        "split": split,
        "characters": score.characters,
        **({"unknown": ids.unknown} if options.unknown == "skip" else {}),
        **({"model": name} if name else {}),
        **({} if options.weights is None else {"weights": options.weights}),
        **({} if options.window is None else {"window": options.window}),
        **score.plain(),
        **({"loss_of": _loss_of(trained), "losses": losses} if losses else {}),
    }
    if options.json:
        print(json.dumps(values))
        return
    how = "" if options.window is None else f", in cold windows of {options.window}"
    if name:
        how += f", {name}"
    if options.weights is not None:
        how += f", weights {written(options.weights)}"
    print(f"{split}: {score.characters} characters{how}")
    loss, *others = score.lines()
    print("\n".join([loss, *([_named(losses)] if losses else []), *others]))


def _named(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())


def _scored(options: EvaluateOptions, trained: Trained, ids: SplitIds) -> Score:
    """The loss of the weights as they are."""
    from charrnn.evaluation import require_numbers, stream_loss, windows_loss
    from charrnn.network_ensemble import any_network_of
    from charrnn.processor import keep_freed_memory

    keep_freed_memory()
    network = any_network_of(trained)
    with scoring_progress() as report:
        if options.window is None:
            return require_numbers(stream_loss(network, ids, report=report))
        return require_numbers(windows_loss(network, ids, options.window, report=report))


def _loss_of(trained: Trained) -> str:
    """Which of `_losses` a model's loss is."""
    assert trained.counts is not None
    return "both" if trained.counts.needs_network else "counts"


def _losses(
    options: EvaluateOptions, trained: Trained, ids: SplitIds, score: Score
) -> dict[str, float]:
    """That of the network, of the counts, and of both; nothing where there are no counts."""
    from charrnn.models.ensemble import with_counts

    if trained.counts is None:
        return {}
    if not trained.counts.needs_network:
        return {"counts": score.loss}
    network, counts = (_scored(options, with_counts(trained, c), ids) for c in ("none", "only"))
    return {"network": network.loss, "counts": counts.loss, "both": score.loss}


def _ids(options: EvaluateOptions, trained: Trained) -> tuple[str, SplitIds]:
    """What is scored, and its ids (n,) in the model's vocabulary."""
    from pathlib import Path

    from charrnn.data import SplitIds, open_data, translated

    data, skip = options.data, options.unknown == "skip"
    if data.input_txt is not None:
        from charrnn.text.known_ids import read_known

        known = read_known(data.input_txt, trained.encoding, trained.vocabulary, skip=skip)
        return "text", SplitIds.of(known)
    h5, json = data.input_h5, data.input_json
    if h5 is None or json is None:
        h5, json = trained.facts.get("input_h5"), trained.facts.get("input_json")
        if not isinstance(h5, str) or not isinstance(json, str):
            raise InputError(
                f"checkpoint={written(options.checkpoint)}: does not say what it was trained on; "
                f"give data.input_txt=, or data.input_h5= and data.input_json="
            )
        for path in (Path(h5), Path(json)):
            if not path.exists():
                text = Path(h5).with_suffix(".txt")
                raise InputError(
                    f"split={options.split}: {path} is gone, where the text of the model was; "
                    f"`charrnn preprocess input_txt={text if text.exists() else 'TEXT'} "
                    f"output_h5={h5}` makes it again (with the val_frac= and the like of the "
                    f"training), or data.input_txt= scores a text"
                )
    encoded = open_data(Path(h5), Path(json))
    return options.split, translated(encoded, options.split, trained.vocabulary, skip=skip)
