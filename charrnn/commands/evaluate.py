"""`charrnn evaluate`: the loss of a checkpoint on a split or a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charrnn.cli.checked_options import written
from charrnn.errors import InputError, RunError
from charrnn.options.commands import EvaluateOptions
from charrnn.say import say, scoring_progress

if TYPE_CHECKING:
    from charrnn.counts.adaptive import AdaptiveCounts
    from charrnn.data import SplitIds
    from charrnn.evaluation import Score
    from charrnn.models.ensemble import Trained

LARGEST_LOSS = 700.0  # nats per character; of a larger one there is no perplexity


def run(options: EvaluateOptions) -> None:
    """Print the loss, as lines or as one JSON object."""
    import json

    from charrnn.models.ensemble import read_models, with_counts

    trained = read_models(options.checkpoint, options.weights)
    # the weights of a mix are its temperature
    if options.temperature == "recorded" and trained.counts and options.counts != "none":
        say("temperature=recorded: the weights of the counts stand in its place")
        options = replace(options, temperature=1.0)
    if options.temperature != 1:
        trained = with_counts(trained, "none")
    temperatures = _temperatures(options, trained)
    trained = with_counts(_tempered(trained, temperatures), options.counts)
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
        **({} if options.temperature == 1 else {"temperature": _one_or_all(temperatures)}),
        **score.plain(),
        **({"loss_of": _loss_of(trained), "losses": losses} if losses else {}),
    }
    if options.dynamic:
        values["dynamic"] = _dynamic(options, trained, ids)
    if options.json:
        print(json.dumps(values))
        return
    how = "" if options.window is None else f", in cold windows of {options.window}"
    if options.temperature != 1:
        how += f", temperature {written(_one_or_all(temperatures))}"
        how += " (recorded)" if options.temperature == "recorded" else ""
    if name:
        how += f", {name}"
    if options.weights is not None:
        how += f", weights {written(options.weights)}"
    print(f"{split}: {score.characters} characters{how}")
    loss, *others = score.lines()
    print("\n".join([loss, *([_named(losses)] if losses else []), *others]))
    if options.dynamic:
        _print_dynamic(values["dynamic"])


def _print_dynamic(values: dict[str, Any]) -> None:
    lines = [
        "loss {loss:.4f} nats per character, {bits_per_character:.4f} bits, "
        "perplexity {perplexity:.4f}"
    ]
    if "losses" in values:
        lines.append(_named(values["losses"]))
    if "rule" in values:
        lines.append("{rule} steps with lr {lr:g}, decay {decay:g}, segments of {segment}")
    for line in lines:
        print("dynamic: " + line.format(**values))


def _named(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())


def _temperatures(options: EvaluateOptions, trained: Trained) -> list[float]:
    """What the logits of the model, or of each of an ensemble's, are divided by."""
    if isinstance(options.temperature, float):
        return [options.temperature] * len(trained.members)
    recorded = [member.facts.get("evaluation_temperature") for member in trained.members]
    found = [value for value in recorded if isinstance(value, float) and value > 0]
    if len(found) < len(recorded):
        raise InputError(
            f"temperature=recorded: checkpoint={written(options.checkpoint)} records none; train "
            f"with fit_temperature=true, or give a number"
        )
    return found


def _one_or_all(temperatures: list[float]) -> float | list[float]:
    return temperatures[0] if len(set(temperatures)) == 1 else temperatures


def _tempered(trained: Trained, temperatures: list[float]) -> Trained:
    """The model, or each of an ensemble's, with its logits divided."""
    from charrnn.models.ensemble import each

    if set(temperatures) == {1.0}:
        return trained
    of_each = iter(temperatures)
    return each(trained, lambda member: member.at_temperature(next(of_each)))


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


def _dynamic(options: EvaluateOptions, trained: Trained, ids: SplitIds) -> dict[str, Any]:
    """What dynamic evaluation found, and how it was done."""
    from charrnn.counts.adaptive import AdaptiveCounts
    from charrnn.evaluation import Score

    counts = None if trained.counts is None else AdaptiveCounts(trained.counts)
    losses: dict[str, float] = {}
    how: dict[str, Any] = {}
    with scoring_progress() as report:
        if trained.counts is None or trained.counts.needs_network:
            losses["network"], how = _learnt(options, trained, ids, counts, report)
        else:
            assert counts is not None
            for stop in range(1, len(ids)):
                counts.read(ids[stop - 1 : stop + 1])
                report(stop, len(ids) - 1)
    if counts is not None:
        losses["both" if losses else "counts"] = counts.loss
    score = Score([*losses.values()][-1], len(ids) - 1)
    return {**score.plain(), **({"losses": losses} if counts is not None else {}), **how}


def _learnt(
    options: EvaluateOptions,
    trained: Trained,
    ids: SplitIds,
    counts: AdaptiveCounts | None,
    report: Callable[[int, int], None],
) -> tuple[float, dict[str, Any]]:
    """The loss of a network that goes on learning, and how it does; counts read the text too."""
    from charrnn.evaluation import dynamic_loss, rule_for
    from charrnn.models.ensemble import with_counts
    from charrnn.network_ensemble import any_network_of

    network = any_network_of(with_counts(trained, "none"))
    rule = rule_for(
        network,
        _training_text(trained),
        lr=options.dynamic_lr,
        decay=options.dynamic_decay,
        segment=options.dynamic_segment,
    )
    loss = dynamic_loss(network, ids, rule, counts=counts, report=report).loss
    if not loss < LARGEST_LOSS:
        raise RunError(f"dynamic_lr={rule.lr:g}: carried the weights away; give a smaller one")
    return loss, {
        "rule": "plain" if rule.rms is None else "rms",
        "lr": rule.lr,
        "decay": rule.decay,
        "segment": rule.segment,
    }


def _training_text(trained: Trained) -> SplitIds | None:
    """What the model was trained on, where it is still at hand."""
    from charrnn.data import training_data, translated

    try:
        ids = translated(training_data(trained.facts), "train", trained.vocabulary)
    except InputError as error:
        say(f"dynamic: the training text is not at hand, and steps are plain ({error})")
        return None
    return ids if len(ids) >= 2 else None


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
