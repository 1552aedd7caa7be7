"""A command line, read, and what Hydra composes of it.

`Line.compose` goes through Hydra's Compose API and writes nothing; `Line.words` are the words
that let `hydra.main` compose the same.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from charrnn.cli import conf
from charrnn.cli.flags import Flags
from charrnn.cli.literal import quoted


@dataclass
class Line:
    """A command line.

    Attributes:
        run: the command itself.
        check: looks, before anything is run, at what the command is asked for; or None.
        overrides: in Hydra's grammar, the texts among them quoted.
        multirun: whether values may be several.
    """

    command: str
    run: Callable[[Any], Any]
    flags: Flags
    overrides: list[str]
    multirun: bool
    check: Callable[[Any], Any] | None = None

    def places(self) -> tuple[str, ...]:
        """The words of the line that say where YAML files lie."""
        flags = {
            "--config-dir": self.flags.config_dir,
            "--config-name": self.flags.config_name,
            "--config-path": self.flags.config_path,
        }
        words = [word for flag, value in flags.items() if value for word in (flag, value)]
        typed = (o for o in self.overrides if o.lstrip("+").startswith("hydra.searchpath="))
        return (*words, *typed)

    @property
    def config_name(self) -> str:
        return self.flags.config_name or self.command

    @property
    def config_path(self) -> str:
        """The folder of the main config: conf/, or --config-dir where it is one of one's own."""
        return str(self._own.parent) if self._own is not None else self._ours

    def words(self, flags: list[str]) -> list[str]:
        """The words for hydra.main, with more flags."""
        folder = self.flags.config_dir
        if folder is None or self._own is not None:
            return [*flags, *self.searching(self.overrides)]
        return [*flags, f"--config-dir={os.path.abspath(folder)}", *self.overrides]

    def compose(self, overrides: list[str] | None = None) -> DictConfig:
        """Compose the config, with Hydra's own part; raises whatever Hydra raises.

        Args:
            overrides: instead of the line's own.
        """
        overrides = list(self.overrides if overrides is None else overrides)
        with self.opened():
            return compose(self.config_name, self.searching(overrides), return_hydra_config=True)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Let Hydra's Compose API look into conf/; a folder that is missing is an error."""
        with (
            warnings.catch_warnings(),
            initialize_config_dir(self.config_path, job_name=self.command, version_base="1.3"),
        ):
            warnings.filterwarnings("ignore", module=r"hydra\.")
            warnings.filterwarnings("error", message=".* is not available", module=r"hydra\.")
            yield

    def searching(self, overrides: list[str]) -> list[str]:
        """The overrides, among them --config-dir as the Compose API takes it."""
        if self.flags.config_dir is None:
            return overrides
        parser = OverridesParser.create()
        searched: Any = self._searched_by_the_config()
        others = []
        for override in overrides:
            if override.lstrip("+").startswith("hydra.searchpath="):
                searched = parser.parse_override(override).value()
            else:
                others.append(override)
        first = self._ours if self._own is not None else os.path.abspath(self.flags.config_dir)
        folders = [f"file://{first}", *(searched or [])]
        return [*others, f"hydra.searchpath=[{','.join(map(quoted, folders))}]"]

    @property
    def _ours(self) -> str:
        return os.path.abspath(self.flags.config_path or conf.CONF)

    @property
    def _own(self) -> Path | None:
        """A main config of one's own in --config-dir.

        Hydra reads the main config before it looks into hydra.searchpath. So its folder comes
        first then, and conf/ is searched besides.
        """
        if self.flags.config_dir is None:
            return None
        name = f"{self.config_name}.yaml"
        path = Path(os.path.abspath(self.flags.config_dir), name)
        return path if path.is_file() and not Path(self._ours, name).is_file() else None

    def _searched_by_the_config(self) -> list[str]:
        """The hydra.searchpath of a main config of one's own, which an override would replace."""
        if self._own is None:
            return []
        found = OmegaConf.select(OmegaConf.load(self._own), "hydra.searchpath")
        return [str(folder) for folder in found or []]


@contextlib.contextmanager
def hydra_config(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` be read from this config."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = before
