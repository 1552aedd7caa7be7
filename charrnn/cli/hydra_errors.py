"""What is wrong with a command line, in one plain line.

Hydra's and OmegaConf's own messages speak of merging, nodes and structs over several lines; what
a person needs is the option as it was typed, and what it should have been.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from charrnn.cli import conf
from charrnn.cli.checked_options import UnknownOption
from charrnn.cli.command_line import Line
from charrnn.cli.overrides import Override
from charrnn.errors import InputError, RunError, find_closest, shorten, suggest_name, to_one_line

# what other programs call what is an option here
_ELSEWHERE = {
    "start_text": "prompt primetext seed_text text prefix",
    "length": "max_tokens n_predict max_new_tokens max_length num_predict tokens",
    "until": "stop stop_text",
    "num_samples": "n num batch",
    "temperature": "temp t",
    "checkpoint": "model_path",
    "optimizer.lr": "lr learning_rate",
    "trainer.max_epochs": "epochs num_epochs n_epochs",
    "trainer.max_steps": "steps max_iters num_steps",
    "model.hidden_size": "rnn_size units n_embd",
    "data.seq_length": "block_size context_length",
    "data.input_txt": "text input file data_dir",
}


def translate_error(error: Exception, line: Line) -> InputError | RunError:
    """Return the sentence for an error in the overrides of a command line."""
    page, overrides = conf.page(line.command.name), line.overrides
    if isinstance(error, UnknownOption):
        return _unknown(error.name, page, overrides, str(error), error.names)
    for override in overrides:
        if fault := _fault(override, page, line.multirun):
            return InputError(f"{shorten(override.typed)}: {fault}")
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.filename is not None:
            kind = InputError if cause.errno == errno.ENAMETOOLONG else RunError
            return kind(f"{shorten(cause.filename)}: cannot be written ({cause.strerror})")
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            group, _, choice = str(cause.missing_cfg_file).rpartition("/")
            near = suggest_name(choice, cause.options or ())
            there = f"; there are {', '.join(cause.options)}" if cause.options else ""
            what = f"{group}={choice}" if group else choice
            typed = [o for o in overrides if f"{o.name}/{o.value}" == cause.missing_cfg_file]
            if typed and os.path.exists(str(typed[0].value)):
                there += f"; a text is data.input_txt={shorten(typed[0].value)}"
            what = typed[0].typed if typed else what
            return InputError(f"{shorten(what)}: no such choice{near}{there}")
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            if isinstance(cause, KeyError | AttributeError):
                return _unknown(cause.full_key, page, overrides)
            return InputError(f"{cause.full_key}: {to_one_line(str(cause).splitlines()[0])}")
    return InputError(to_one_line(error, 500))


def _unknown(
    name: str,
    page: conf.Page,
    overrides: Sequence[Override],
    said: str = "",
    names: Sequence[str] = (),
) -> InputError:
    """An option that nothing takes, as it was typed, with the nearest one."""
    # Hydra names the first part that is not there
    typed = [o for o in overrides if f"{o.key}.".startswith(f"{name}.")]
    what = shorten(typed[0].typed) if typed else said.partition(":")[0] or name
    name = typed[0].key if typed else name
    if name in conf.WITHOUT_A_NODE and name in page.groups:
        return InputError(f"{what}: the first line of its file must be # @package _global_")
    for choice, options in page.further.items():
        if name in options:
            return InputError(f"{what}: no such option here; {choice} has it")
    line = f"{what}: no such option{nearest(name, [*names, *page.names()])}"
    is_slip = find_closest(name, [*names, *page.names()], 0.85) is not None
    is_bare = typed and not typed[0].prefix and "." in name
    if is_bare and not is_slip and name.partition(".")[0] in page.groups:
        line += f"; what no file sets is added with a plus: +{typed[0].typed}"
    return InputError(line)


def nearest(name: str, names: Sequence[str]) -> str:
    """The hint for a misspelt name, or for one without its group (``batch_size``)."""
    for here, elsewhere in _ELSEWHERE.items():
        if name.lower() in elsewhere.split() and here in names:
            return f"; here it is {here}"
    last = {full.rpartition(".")[2]: full for full in reversed(names)}
    known = {**last, **{full: full for full in names}}
    for wanted in (name, name.rpartition(".")[2]):
        if near := find_closest(wanted, known):
            return f"; did you mean {known[near]}?"
    return "; --help=all lists them"


def _fault(override: Override, page: conf.Page, multirun: bool) -> str:
    """Return what is wrong with an override whatever else is composed; "" for nothing."""
    name, value = override.name, override.value
    try:
        parsed = OverridesParser.create().parse_override(override.word)
    except Exception:  # Hydra's grammar, or a number that Python does not read
        if value is None:
            if os.path.exists(name):
                return "several paths are one list: [one,two]"
            return "options are written NAME=VALUE, spaces in quotes; --help=all lists them"
        if value.lstrip("+-").isdigit():
            return "is too large a number"
        quote = f"{override.prefix}{shorten(name)}=\"'...'\""
        return f"cannot be read in Hydra's grammar; quote a value with special characters: {quote}"
    if parsed.is_sweep_override() and not multirun:
        # a count is no decimal, with whatever comma
        default = page.options.get(name, conf.Option("", "")).default
        if re.fullmatch(r"-?0,\d+" if "." not in default else r"-?\d+,\d+", str(value)):
            return f"a number is written with a point: {name}={str(value).replace(',', '.')}"
        return "several values are a sweep and need -m; a list is written [1,2]"
    is_choice = parsed.is_sweep_override() or isinstance(parsed.value(), str | list | dict)
    if name in page.groups and not is_choice:
        return f"takes one of {', '.join(page.groups[name])}"
    if parsed.is_add() and parsed.key_or_group in (*page.options, *page.groups):
        return "is an option already; write it without the +"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
