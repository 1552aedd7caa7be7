"""The flags of a command line, and the overrides that are left."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from dataclasses import dataclass
from typing import NoReturn

from charrnn.errors import InputError

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

    def show_only(self) -> list[str]:
        """The flags that let Hydra print something and run nothing, as it takes them."""
        if self.hydra_help:
            return ["--hydra-help"]
        if self.info:
            return [f"--info={self.info}"]
        if not self.cfg:
            return []
        package = [f"--package={self.package}"] if self.package else []
        return [f"--cfg={self.cfg}", *package, *(["--resolve"] if self.resolve else [])]


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help says how it is written")


def parse(words: list[str]) -> tuple[Flags, list[str]]:
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
