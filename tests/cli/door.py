"""The front door with stand-ins for the commands behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra.core.hydra_config import HydraConfig

from charrnn.__main__ import main
from charrnn.options.training import TrainOptions


class Answer(NamedTuple):
    code: int
    out: str
    err: str


class Asked(NamedTuple):
    """Record what `charrnn train` gets: its options, and Hydra's config."""

    config: TrainOptions
    hydra: Any

    @property
    def folder(self) -> Path:
        return Path(self.hydra.runtime.output_dir)


def select(asked: Any, name: str) -> Any:
    """Return the value of an option, such as data.input_txt, of what reached a command."""
    value = getattr(asked, "config", asked)
    for part in name.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


class Door:
    """Call it with the words of a command line.

    Attributes:
        asked: what reached a command, one entry a run: its options; of train, an Asked.
        action: what the command then does, and returns; or the error that it raises.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.asked: list[Any] = []
        self.action: Callable[[Any], Any] | BaseException = lambda options: None
        self._capsys = capsys

    def run(self, options: Any, config: Any = None, words: Any = ()) -> Any:
        if isinstance(options, TrainOptions):
            options = Asked(options, HydraConfig.get())
        self.asked.append(options)
        if isinstance(self.action, BaseException):
            raise self.action
        return self.action(options)

    def __call__(self, *words: str) -> Answer:
        code = main(words)
        return Answer(code, *self._capsys.readouterr())

    def refuses(self, *words: str) -> str:
        """Return the line that refuses a command line before anything runs."""
        answer = self(*words)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1), answer
        assert answer.err.startswith("charrnn")
        assert self.asked == []
        return answer.err
