"""`charrnn convert`: a .ckpt or torch-rnn's .t7 becomes a model file.

The losses in the JSON that torch-rnn wrote beside a .t7 become metrics.csv and TensorBoard
events beside the model file, as a run folder has them.
"""

from __future__ import annotations

from pathlib import Path

from charrnn.errors import InputError
from charrnn.options.commands import ConvertOptions
from charrnn.say import say


def run(options: ConvertOptions) -> None:
    """Write the model of `input` to the model file `output`."""
    from charrnn.model import load
    from charrnn.models import find_model as find

    source, output = find(options.input), Path(options.output)
    if output.exists() and output.samefile(source):
        raise InputError(f"output={options.output}: is the input itself; name another file")
    model = load(source)
    model.save(output)
    size = sum(weight.size for weight in model.trained.weights.values())
    say(f"wrote {output}: {model}, {size:,} numbers")
    history = source.with_suffix(".json")
    if model.trained.facts.get("source") == "torch-rnn" and history.is_file():
        _convert_history(history, output.parent)


def _convert_history(history: Path, folder: Path) -> None:
    from charrnn.models.torch7 import read_history

    metrics = folder / "metrics.csv"
    if metrics.exists():
        say(f"{metrics} exists already, so the losses in {history} are left where they are")
        return
    try:
        rows = read_history(history)
    except InputError as error:
        # a vocabulary may bear the same name
        say(f"no loss history: {error}")
        return
    from charrnn.training.loggers import write_history

    write_history(rows, folder)
    say(f"wrote {metrics} and {folder / 'tensorboard'}: the losses of {len(rows):,} steps")
