"""A command line, read, and what Hydra composes of it.

It goes through Hydra's Compose API and writes nothing.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from charrnn import plugins
from charrnn.cli.literal import quoted
from charrnn.errors import InputError


@dataclass
class Line:
    """A command line.

    Attributes:
        run: the command itself.
        check: looks, before anything is run, at what the command is asked for; or None.
        overrides: in Hydra's grammar, the texts among them quoted.
        multirun: whether values may be several.
        models: those that jobs begin with, as `with_real_paths` found them before the first began.
    """

    command: str
    run: Callable[[Any], Any]
    flags: Flags
    overrides: list[str]
    multirun: bool
    check: Callable[[Any], Any] | None = None
    models: dict[str, str] = field(default_factory=dict)

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
        """The folder of the main config: conf/ or --config-path, the command's, or --config-dir.

        Hydra reads the main config before it looks into hydra.searchpath, so its folder comes
        first, and the others are searched besides.
        """
        found = plugins.command(self.command)
        assert found is not None
        has = f"{self.config_name}.yaml"
        ours, *own = self._ours
        places = (ours, str(found.conf), *own)
        return next((folder for folder in places if Path(folder, has).is_file()), ours)

    def compose(self, overrides: list[str] | None = None) -> DictConfig:
        """Compose the config, with Hydra's own part; raises whatever Hydra raises.

        Args:
            overrides: instead of the line's own.
        """
        overrides = list(self.overrides if overrides is None else overrides)
        with self.opened():
            return compose(self.config_name, self.searching(overrides), return_hydra_config=True)

    def compose_sweep(self, *more: str) -> DictConfig:
        """The config of the sweep itself, with these overrides too; inside of `opened`."""
        words = [*self.searching([*self.overrides, *more]), "hydra.mode=MULTIRUN"]
        loader = GlobalHydra.instance().config_loader()
        return loader.load_configuration(self.config_name, words, RunMode.MULTIRUN)

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

    def add_options(self) -> None:
        """Let Hydra find the options that extras add: `added_by_extras` in a defaults list."""
        if paths := plugins.added_options(self.command):
            added = OmegaConf.merge(*map(OmegaConf.load, paths))
            ConfigStore.instance().store(self.command, added, group="added_by_extras")

    def searching(self, overrides: list[str]) -> list[str]:
        """The overrides, with all the folders in which YAML files are searched."""
        parser = OverridesParser.create()
        searched: Any = self._searched_by_the_config()
        others = []
        for override in overrides:
            if override.lstrip("+").startswith("hydra.searchpath="):
                searched = parser.parse_override(override).value()
            else:
                others.append(override)
        main = self.config_path  # is searched in any case
        ours = [folder for folder in self._ours if folder != main]
        further = map(str, plugins.conf_folders(self.command))
        extras = [folder for folder in further if folder not in (main, *ours)]
        folders = [
            *(f"file://{folder}" for folder in ours),
            *(searched or []),
            *(f"file://{folder}" for folder in extras),
        ]
        if not folders:
            return others
        return [*others, f"hydra.searchpath=[{','.join(map(quoted, folders))}]"]

    @property
    def _ours(self) -> list[str]:
        """conf/, or --config-path instead, and --config-dir."""
        folders = [self.flags.config_path or plugins.CONF, self.flags.config_dir]
        return [os.path.abspath(folder) for folder in folders if folder is not None]

    def _searched_by_the_config(self) -> list[str]:
        """The hydra.searchpath of a main config of one's own, which an override would replace."""
        if self.config_path == str(plugins.CONF):
            return []
        path = Path(self.config_path, f"{self.config_name}.yaml")
        found = OmegaConf.select(OmegaConf.load(path), "hydra.searchpath") if path.is_file() else ()
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


# those of Hydra's that make sense here: not its completion, nor a rerun from a pickle
KNOWN = {
    *("-m", "--multirun", "-r", "--run", "-c", "--cfg", "-p", "--package", "--resolve"),
    *("-cd", "--config-dir", "-cn", "--config-name", "-cp", "--config-path"),
    *("-i", "--info", "--hydra-help"),
}
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass
class Flags:
    """Hydra's flags, under its names."""

    multirun: bool
    run: bool
    cfg: str | None
    package: str | None
    resolve: bool
    config_dir: str | None
    config_name: str | None
    config_path: str | None
    info: str | None
    hydra_help: bool

    @property
    def show_only(self) -> bool:
        """Whether something is to be printed, and nothing run."""
        return bool(self.cfg or self.info or self.hydra_help)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help says how it is written")


def parse_flags(words: list[str]) -> tuple[Flags, list[str]]:
    """Part the flags from the overrides.

    Raises:
        InputError: an unknown flag, or flags that do not go together.
    """
    _refuse_unknown(words)
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--run", "-r", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--package", "-p")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn")
    parser.add_argument("--config-path", "-cp")
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=INFO)
    parser.add_argument("--hydra-help", action="store_true")
    values = vars(parser.parse_intermixed_args(words))
    overrides: list[str] = values.pop("overrides")
    flags = Flags(**values)
    modes = {"-m": flags.multirun, "--cfg": flags.cfg, "--info": flags.info}
    if len(given := [flag for flag, value in modes.items() if value]) > 1:
        raise InputError(f"{' and '.join(given)}: give one of them")
    if (flags.package or flags.resolve) and not flags.cfg:
        raise InputError("--package and --resolve go with --cfg")
    for flag, folder in (("--config-dir", flags.config_dir), ("--config-path", flags.config_path)):
        if folder is not None and not os.path.isdir(folder):
            raise InputError(f"{flag} {folder}: is no folder")
    return flags, overrides


def _refuse_unknown(words: list[str]) -> None:
    for word in words:
        flag = word.split("=")[0]
        if word.startswith("-") and flag not in KNOWN:
            name = flag.lstrip("-").replace("-", "_")
            raise InputError(
                f"{flag}: no such flag; options have no dashes and are written "
                f"{name or 'NAME'}=VALUE (--help lists them)"
            )
