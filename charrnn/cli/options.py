"""Every option of every command, once: its type, its range and its traits.

The defaults and a line of explanation for each stand in ``conf/``. `charrnn.cli.building`
holds a composed config to what is declared here, before any data is read and before torch
is imported. A field is ``name: Annotated[type, range, traits]``, and may be null where its
type says ``| None``. A trait is written here and nowhere else: what is taken literally
(`charrnn.cli.literal`), what is a path, what a resume may not change all follow from it.

What is built in training, each a node with a ``_target_``, is declared in `charrnn.cli.nodes`,
and the options of the commands that use a model in `charrnn.cli.model_options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from charrnn import registry
from charrnn.options.ranges import (
    AT_LEAST_1,
    BELOW_1,
    DURATION,
    ENCODING,
    FIXED,
    NODE,
    NODES,
    NOT_EMPTY,
    NOT_NEGATIVE,
    PATH,
    PORT,
    SEED,
    SHARE,
    TEXT,
    Range,
    require,
)
from charrnn.text.checks import LINES, require_fractions

# A method `check` holds options to one another, once each is right by itself.


@dataclass
class PreprocessOptions:
    input_txt: Annotated[str | list[str], PATH]
    output_h5: Annotated[str | None, PATH]
    output_json: Annotated[str | None, PATH]
    val_frac: Annotated[float, BELOW_1]
    test_frac: Annotated[float, BELOW_1]
    encoding: Annotated[str, ENCODING]
    lines: Annotated[str, LINES]
    lines_seed: Annotated[int, SEED]
    quiet: bool

    def check(self, prefix: str) -> None:
        require_fractions(prefix, self.val_frac, self.test_frac)


@dataclass
class TrainOptions:
    data: Annotated[dict[str, Any], NODE]
    model: Annotated[dict[str, Any], NODE]
    optimizer: Annotated[dict[str, Any], NODE]
    schedule: Annotated[dict[str, Any], NODE]
    trainer: Annotated[dict[str, Any], NODE]
    callbacks: Annotated[dict[str, Any], NODES]
    logger: Annotated[dict[str, Any], NODES]
    checkpoint_every: Annotated[int | None, AT_LEAST_1]
    validate_every: Annotated[
        int | None, Range(NOT_NEGATIVE.admits, "must be 1 or more, or 0 for never")
    ]
    print_every: Annotated[int, AT_LEAST_1]
    budget: Annotated[str | None, DURATION, FIXED]
    seed: Annotated[int | None, SEED, FIXED]
    resume: Annotated[str | None, PATH]
    init_from: Annotated[str | None, PATH, FIXED]
    distill_from: Annotated[str | list[str] | None, PATH, FIXED]
    distill_weight: Annotated[float, SHARE, FIXED]
    fit_temperature: bool
    tags: Annotated[list[str] | None, TEXT]

    def check(self, prefix: str) -> None:
        require(
            self.resume is None or self.init_from is None,
            "init_from",
            self.init_from,
            "resume= goes on with everything, init_from= starts anew from weights; give one",
        )
        require(
            self.resume in (None, "auto") or self.budget is None,
            "budget",
            self.budget,
            "a resume goes on with what was chosen when the run was begun; leave it out",
        )
        kind = self.model.get("kind", "lstm")
        require(
            not self.fit_temperature or registry.cell_of(kind) is not None,
            "fit_temperature",
            "true",
            f"a {kind} is evaluated as it is; leave it out",
        )


@dataclass
class RunsOptions:
    folder: Annotated[str, PATH]
    sort: Annotated[str, TEXT, NOT_EMPTY]
    where: Annotated[str | None, TEXT]
    json: bool
    csv: Annotated[str | None, PATH]
    curves: Annotated[str | None, PATH]
    all: bool
    remove: Annotated[str | None, PATH]
    force: bool

    def check(self, prefix: str) -> None:
        require(not self.force or self.remove is not None, "force", "true", "needs remove=FOLDER")


@dataclass
class TensorboardOptions:
    folder: Annotated[str, PATH]
    host: Annotated[str, TEXT, NOT_EMPTY]
    port: Annotated[int | None, PORT]
