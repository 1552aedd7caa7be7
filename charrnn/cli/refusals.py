"""What is wrong with a command line, in one plain line.

Hydra's and OmegaConf's own messages speak of merging, nodes and structs over several lines;
what a person needs is the option as it was written, on the command line or in a file, and
what it should have been.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from charrnn import plugins
from charrnn.cli import conf, config_files
from charrnn.cli.checked_options import BadOption, Missing, Unknown
from charrnn.cli.command_line import Line, hydra_config
from charrnn.errors import InputError, RunError, one_line, shown
from charrnn.files import short_path

# what other programs call what is an option here
_ELSEWHERE = {
    **dict.fromkeys(("prompt", "primetext", "seed_text", "text", "prefix"), "start_text"),
    **dict.fromkeys(
        ("max_tokens", "n_predict", "max_new_tokens", "max_length", "num_predict", "tokens"),
        "length",
    ),
    **dict.fromkeys(("stop", "stop_text"), "until"),
    **dict.fromkeys(("n", "num", "batch"), "num_samples"),
    **dict.fromkeys(("temp", "t"), "temperature"),
    **dict.fromkeys(("lr", "learning_rate"), "optimizer.lr"),
    **dict.fromkeys(("epochs", "num_epochs", "n_epochs"), "trainer.max_epochs"),
    **dict.fromkeys(("steps", "max_iters", "num_steps"), "trainer.max_steps"),
    **dict.fromkeys(("rnn_size", "units", "n_embd"), "model.hidden_size"),
    **dict.fromkeys(("block_size", "context_length"), "data.seq_length"),
    **dict.fromkeys(("text", "input", "file", "data_dir"), "data.input_txt"),
    "model_path": "checkpoint",
}
_LONGEST_CHOICE = 200  # beyond, it is no name of a file


@contextlib.contextmanager
def explaining(line: Line, overrides: list[str] | None = None) -> Iterator[None]:
    """Turn whatever is raised while a line's overrides are composed and checked into InputError.

    Args:
        overrides: of one job of a sweep, instead of the line's own.
    """
    try:
        yield
    except (BadOption, Unknown, Missing) as error:
        raise _Refusal(line, overrides).located(error) from error
    except (InputError, RunError):
        raise
    except Exception as error:
        raise _Refusal(line, overrides).explained(error) from error


class _Refusal:
    """What is known of a command line that is refused."""

    def __init__(self, line: Line, overrides: list[str] | None) -> None:
        self.line = line
        self.overrides = line.overrides if overrides is None else overrides
        self.multirun = line.multirun and overrides is None
        self.page = conf.page(line.command)
        self.parsed: dict[str, Override] = {}
        self.fault: InputError | None = None
        for text in self.overrides:
            try:
                override = OverridesParser.create().parse_override(text)
            except Exception:  # Hydra's grammar, or a number that Python does not read
                self.fault = self.fault or InputError(f"{shown(text)}: {_unreadable(text)}")
                continue
            if fault := self._wrong_by_itself(override):
                self.fault = self.fault or InputError(f"{shown(text)}: {fault}")
            self.parsed[override.package or override.key_or_group.replace("/", ".")] = override

    def explained(self, error: Exception) -> InputError:
        """Make one line of what Hydra or OmegaConf raised."""
        if self.fault:
            return self.fault
        if any(isinstance(cause, RecursionError) for cause in _causes(error)):
            deepest = max(self.overrides, key=lambda text: sum(map(text.count, "{[")), default="")
            return InputError(f"{shown(deepest)}: is nested too deeply")
        for cause in _causes(error):
            if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
                return self._no_such_file(cause.missing_cfg_file, cause.options or ())
            if isinstance(cause, OmegaConfBaseException) and cause.full_key:
                name = cause.full_key
                if isinstance(cause, KeyError | AttributeError):
                    return self._unknown(name)
                written = self._written(name) or name
                return InputError(f"{written}: {str(cause).splitlines()[0]}")
        for name, override in self.parsed.items():
            known = name in self.page.names() or override.is_hydra_override() or override.package
            if not known and not override.is_add() and not override.is_force_add():
                return self._unknown(name)
        return InputError(one_line(error, 500))

    def _no_such_file(self, missing: str, options: Sequence[str]) -> InputError:
        """A choice that is in no folder: the command line's, or one in a file that it chose."""
        group, _, choice = missing.rpartition("/")
        name = group.replace("/", ".")
        if name in self.parsed:
            value = self.parsed[name].value()
            chosen = [str(one) for one in (value if isinstance(value, list) else [value])]
            for folder in (self.line.flags.config_dir, *plugins.conf_folders(self.line.command)):
                for path in (Path(folder, group, f"{one}.yaml") for one in chosen if folder):
                    if choice not in chosen and path.is_file():
                        return InputError(
                            f"{short_path(path)}: its defaults list names {missing}, and there is "
                            f"no such file in conf/ or --config-dir"
                        )
        written = self._written(name) or f"{group}={choice}".removeprefix("=")
        return InputError(f"{written}: {_no_such_choice(choice, options)}")

    def located(self, error: BadOption | Unknown | Missing) -> InputError:
        """Say where what the builder refuses was written."""
        if self.fault:
            return self.fault
        if isinstance(error, Missing):
            return self._missing(error)
        written = self._written(error.name)
        if isinstance(error, BadOption):
            if written is not None:
                return InputError(str(error))
            return InputError(f"{self._file(error.name, error.value)}{error}")
        if error.name in conf.WITHOUT_A_NODE:
            return self._without_package(error.name)
        override = self.parsed.get(error.name)
        if override is not None and override.package == error.name:
            return InputError(f"{override.input_line}: {_no_such_package(override)}")
        hint = nearest(error.name, [*error.names, *self.page.names()])
        if written is not None:
            return InputError(f"{written}: no such option{hint}")
        group = self.parsed.get(error.name.partition(".")[0])
        if group is not None and error.name in self.page.names():
            hint = f" with {group.input_line}; leave {group.input_line} out"
        return InputError(f"{self._file(error.name, error.value)}{error}{hint}")

    def _missing(self, error: Missing) -> InputError:
        override = self.parsed.get(error.name)
        choices = ", ".join(self.page.groups.get(error.name, ()))
        if override is not None and choices:
            removed = "cannot be removed; " * override.is_delete()
            return InputError(f"{override.input_line}: {removed}takes one of {choices}")
        return InputError(str(error))

    def _unknown(self, name: str) -> InputError:
        """What Hydra says is not there: misspelt, or there but not set yet."""
        # Hydra names the first part that is not there
        name = next((key for key in self.parsed if key.startswith(f"{name}.")), name)
        written = self._written(name) or name
        if name.startswith("hydra."):
            return InputError(f"{written}: no such option{nearest(name, self._hydras_names())}")
        if not self._is_a_slip(name) and (found := self._with_a_plus(name)):
            return found
        for choice, options in self.page.further.items():
            if name in options:
                return InputError(f"{written}: no such option here; {choice} has it")
        return InputError(f"{written}: no such option{nearest(name, self.page.names())}")

    def _is_a_slip(self, name: str) -> bool:
        """Whether the name is none that conf/ has, and very near to one."""
        near = difflib.get_close_matches(name, self.page.names(), n=1, cutoff=0.9)
        return bool(near) and near[0] != name

    def _with_a_plus(self, name: str) -> InputError | None:
        """What the builder has to say when the option is added to its node."""
        from charrnn.cli.job import options_of

        override = self.parsed.get(name)
        if override is None or "." not in name or override.input_line not in self.overrides:
            return None
        text = str(override.input_line)
        others = [other for other in self.overrides if other != text]
        try:
            config = self.line.compose([*others, f"+{text}"])
            with hydra_config(config):
                options_of(self.line.command, config, config.hydra)
        except BadOption as error:
            return InputError(str(error)) if error.name == name else None
        except Exception:
            return None
        return InputError(f"{text}: is not set yet; write +{text}")

    def _wrong_by_itself(self, override: Override) -> str:
        """What is wrong with an override whatever else is composed; "" for nothing."""
        name = override.key_or_group
        if override.is_sweep_override() and not self.multirun:
            value = str(override.input_line).partition("=")[2]
            default = self.page.options.get(name, conf.Option("", "")).default
            # a count is no decimal, with whatever comma
            if re.fullmatch(r"-?0,\d+" if "." not in default else r"-?\d+,\d+", value):
                return f"a number is written with a point: {name}={value.replace(',', '.')}"
            return "several values are a sweep and need -m; a list is written [1,2]"
        if override.package not in (None, name) and name in self.page.groups:
            return _no_such_package(override)
        if override.is_add() and name in (*self.page.options, *self.page.groups):
            return "is an option already; write it without the +"
        is_choice = override.is_sweep_override() or isinstance(override.value(), str | list | dict)
        if name in self.page.groups and not is_choice:
            removed = "cannot be removed; " * override.is_delete()
            return f"{removed}takes one of {', '.join(self.page.groups[name])}"
        if name in self.page.groups and len(str(override.value())) > _LONGEST_CHOICE:
            return _no_such_choice("", list(self.page.groups[name]))
        return ""

    def _written(self, name: str) -> str | None:
        """The override that sets an option, or the node that it is in; None for a file's."""
        while name:
            if name in self.parsed:
                return shown(self.parsed[name].input_line)
            if below := [key for key in self.parsed if key.startswith(f"{name}.")]:
                return shown(self.parsed[below[0]].input_line)
            name = name.rpartition(".")[0]
            if name in self.page.groups:  # what a choice brings, its file does
                value = self.parsed[name].value() if name in self.parsed else None
                return shown(self.parsed[name].input_line) if isinstance(value, dict) else None
        return None

    def _file(self, name: str, value: object) -> str:
        """The file that says so, as the line's beginning; "" if it cannot be told."""
        try:
            config = self.line.compose(self.overrides)
            path = config_files.naming(config.hydra, name, value)
        except Exception:
            return ""
        return "" if path is None else f"{short_path(path)}: "

    def _without_package(self, group: str) -> InputError:
        config = self.line.compose(self.overrides)
        for path in config_files.chosen(config.hydra, group):
            if "@package _global_" not in path.read_text("utf-8", "replace"):
                return InputError(f"{short_path(path)}: its first line must be # @package _global_")
        return InputError(f"{group}: no such option")

    def _hydras_names(self) -> list[str]:
        config = self.line.compose([o for o in self.overrides if o.startswith("hydra/")])
        names: list[str] = []

        def collect(values: Any, prefix: str) -> None:
            for name, value in values.items():
                if not str(name).startswith("_"):
                    names.append(f"{prefix}{name}")
                if isinstance(value, dict):
                    collect(value, f"{prefix}{name}.")

        collect(OmegaConf.to_container(config.hydra), "hydra.")
        return names


def nearest(name: str, names: list[str]) -> str:
    """The hint for a misspelt name, or for one without its group (``batch_size``)."""
    if (here := _ELSEWHERE.get(name.lower())) in names:
        return f"; here it is {here}"
    targets = {full.rpartition(".")[2]: full for full in reversed(names)}
    targets |= {full: full for full in names}
    for wanted in (name, name.rpartition(".")[2]):
        if near := difflib.get_close_matches(wanted[:200], targets, n=1):
            return f"; did you mean {targets[near[0]]}?"
    return "; --help lists them"


def _unreadable(override: str) -> str:
    name, equals, value = override.partition("=")
    if not equals:
        return "options are written NAME=VALUE; --help lists them"
    if value.lstrip("+-").isdigit():
        return "is too large a number"
    return (
        "cannot be read in Hydra's grammar; "
        f"quote a value with special characters: {shown(name)}=\"'...'\""
    )


def _no_such_package(override: Override) -> str:
    group = override.key_or_group
    return f"nothing takes {override.package}; {group}=NAME chooses the {group}"


def _no_such_choice(choice: str, options: Sequence[str]) -> str:
    if not options:
        return "no such file in conf/ or --config-dir"
    near = difflib.get_close_matches(choice, options, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"no such choice; {hint}There are: {', '.join(options)}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
