"""Explain errors of Hydra in the words of a command line, with the nearest name.

Hydra's messages describe config nodes in several lines. A user needs the typed option and a hint.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from charrnn.cli import help_page
from charrnn.cli.overrides import CommandLine, get_key, show
from charrnn.errors import InputError, explain, find_closest, shorten, suggest_name, walk_causes

# the names of options in other programs
_FOREIGN_NAMES = {
    "start_text": "prompt primetext seed_text text",
    "length": "max_tokens n_predict max_new_tokens num_predict tokens",
    "until": "stop",
    "num_samples": "n num",
    "resume": "ckpt_path checkpoint",
    "model.hidden_size": "rnn_size units n_embd",
    "data.seq_length": "block_size context_length",
    "data.input_txt": "text input file data_dir",
}


_DECIMAL_COMMA = re.compile(r"[^=]*=-?\d+,\d+")


@contextlib.contextmanager
def translate_errors(line: CommandLine) -> Iterator[None]:
    """Raise InputError or RunError for an error in the overrides of a command line."""
    try:
        yield
    except Exception as error:
        typed = None if isinstance(error, InputError) else _explain_words(error, line)
        explained = typed or explain(error)
        if explained is None or explained is error:
            raise
        raise explained from error


def _explain_words(error: Exception, line: CommandLine) -> InputError | None:
    """Return the error for an unknown name, or for a decimal comma; None for others."""
    for cause in walk_causes(error):
        # Hydra reads the comma as a sweep, which needs -m.
        commas = [word for word in line.words if _DECIMAL_COMMA.fullmatch(word)]
        if isinstance(cause, HydraException) and "Ambiguous value" in str(cause) and commas:
            number = commas[0].replace(",", ".")
            return InputError(f"{commas[0]}: for one number write {number}; for two, add -m")
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            file = str(cause.missing_cfg_file)
            group, _, choice = file.rpartition("/")
            group = group or "--config-name"
            hint = suggest_name(choice, cause.options or ())
            hint += f"; the choices are {', '.join(cause.options)}" if cause.options else ""
            typed = (show(word) for word in line.words if word.replace("=", "/") == file)
            return InputError(f"{shorten(next(typed, f'{group}={choice}'))}: no such choice{hint}")
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            return _explain_unknown_option(str(cause.full_key), line)
    return None


def _explain_unknown_option(name: str, line: CommandLine) -> InputError:
    """Return the error for an unknown option, or for a part of its dotted name, with a hint."""
    page = help_page.read_page(line.command.name)
    typed = [word for word in line.words if f"{get_key(word)}.".startswith(f"{name}.")]
    shown = name
    if typed:
        shown, name = shorten(show(typed[0])), get_key(typed[0])
    if name in page.options and (only := page.options[name].only):
        return InputError(f"{shown}: only {only} has this option")
    # A name that exists was refused because the chosen groups lack it, so it is no hint.
    names = [full for full in (*page.groups, *page.options) if full != name]
    similar = find_option(name, names)
    hint = f"; did you mean {similar}?" if similar else "; --help lists the options"
    if name.partition(".")[0] in page.groups and "." in name:
        hint += f"; an option that is not in conf/ needs a plus: +{shown}"
    return InputError(f"{shown}: no such option{hint}")


def find_option(name: str, names: list[str]) -> str | None:
    """Return the most similar of some names of options, or None.

    `name` may lack its group, or be the name in another program.
    """
    # Of several options with the same last part, the first is suggested.
    options = {full.rpartition(".")[2]: full for full in reversed(names)} | {n: n for n in names}
    for option in names:
        options |= dict.fromkeys(_FOREIGN_NAMES.get(option, "").split(), option)
    closest = find_closest(name, options) or find_closest(name.rpartition(".")[2], options)
    return options[closest] if closest else None
