"""The flags of a command line: those of Hydra's that make sense here.

Hydra's own parser takes more: prefixes of flags, a rerun from a pickle, completion.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from dataclasses import dataclass
from typing import NoReturn

from charrnn.errors import InputError

_FLAGS = {
    *("-m", "--multirun", "-c", "--cfg", "-p", "--package", "--resolve"),
    *("-cd", "--config-dir", "-cn", "--config-name", "-i", "--info", "--hydra-help"),
}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Flags:
    """Those that were given, under their names."""

    multirun: bool = False
    cfg: str | None = None
    package: str | None = None
    resolve: bool = False
    config_dir: str | None = None
    config_name: str | None = None
    info: str | None = None
    hydra_help: bool = False

    @property
    def show_only(self) -> bool:
        """Whether something is to be printed, and nothing run."""
        return bool(self.cfg or self.info or self.hydra_help)

    def words(self) -> list[str]:
        """The flags as Hydra reads them."""
        given = ((f"--{name.replace('_', '-')}", value) for name, value in vars(self).items())
        return [flag if value is True else f"{flag}={value}" for flag, value in given if value]


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help says how it is written")


def parse_flags(words: list[str]) -> tuple[Flags, list[str]]:
    """Part the flags from the overrides.

    Raises:
        InputError: an unknown flag, or flags that do not go together.
    """
    for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
        if flag not in _FLAGS:
            name = flag.lstrip("-").replace("-", "_") or "NAME"
            raise InputError(
                f"{flag}: no such flag; options have no dashes and are written {name}=VALUE "
                f"(--help lists them)"
            )
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--package", "-p")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn")
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=_INFO)
    parser.add_argument("--hydra-help", action="store_true")
    values = vars(parser.parse_intermixed_args(words))
    overrides: list[str] = values.pop("overrides")
    flags = Flags(**values)
    modes = {"-m": flags.multirun, "--cfg": flags.cfg, "--info": flags.info}
    if len(given := [flag for flag, value in modes.items() if value]) > 1:
        raise InputError(f"{' and '.join(given)}: give one of them")
    if (flags.package or flags.resolve) and not flags.cfg:
        raise InputError("--package and --resolve go with --cfg")
    if flags.config_dir is not None and not os.path.isdir(flags.config_dir):
        raise InputError(f"--config-dir {flags.config_dir}: is no folder")
    return flags, overrides
