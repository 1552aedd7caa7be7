"""The extras: each a folder here that can be deleted, its lines in this table with it or not.

What a folder may hold: `NAME_command.py` (its command and options), COMMAND.yaml (the defaults of
its command, or of the options that it adds to a core command), `conf/` (choices of groups, laid
out as in conf/). Its tests are `tests/extras/NAME`. `charrnn.plugins` says what the core calls.
"""

from pathlib import Path

from charrnn.plugins import Command, Extra

_HERE = "charrnn.extras"


def _command(name: str, options: str, extra: str | None = None) -> Command:
    """A command of an extra, by default of the one of the same name."""
    folder = Path(__file__).parent / (extra or name)
    extra = f"{_HERE}.{extra or name}"
    return Command(name, f"{extra}.{name}_command:{options}", f"{extra}.{name}_command:run", folder)


EXTRAS = (
    Extra(
        "fast",
        calls={
            "int8_engine": f"{_HERE}.fast.fast_engines:int8_engine",
            "compiled_engine": f"{_HERE}.fast.fast_engines:compiled_engine",
        },
    ),
    Extra("inspect", (_command("inspect", "InspectOptions"),)),
    Extra("serve", (_command("serve", "ServeOptions"),)),
    Extra("page", (_command("export", "ExportOptions", extra="page"),)),
    Extra(
        "novelty",
        options={"sample": f"{_HERE}.novelty.novelty_options:NoveltyOptions"},
        calls={"sample": f"{_HERE}.novelty.novelty_step:novelty_step"},
    ),
    Extra("report", calls={"run_end": f"{_HERE}.report.run_report:report"}),
    Extra(
        "search",
        choices=("train",),
        nodes=f"{_HERE}.search.pruning_options:NODES",
        calls={
            "sweep_end": f"{_HERE}.search.search_end:tell",
        },
    ),
)
