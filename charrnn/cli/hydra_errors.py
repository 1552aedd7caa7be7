"""Explain errors of Hydra in the words of a command line, with the nearest name.

Hydra's messages describe config nodes in several lines. A user needs the typed option and a hint.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from hydra.errors import MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from charrnn.cli import help_page
from charrnn.cli.overrides import CommandLine, get_key, is_bare, is_multirun, parse, show, split
from charrnn.errors import (
    InputError,
    RunError,
    explain,
    find_closest,
    shorten,
    suggest_name,
    walk_causes,
)

# the names of options in other programs
_FOREIGN_NAMES = {
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


@contextlib.contextmanager
def translate_errors(line: CommandLine) -> Iterator[None]:
    """Raise InputError or RunError for an error in the overrides of a command line."""
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        explained = _explain_words(line) or _explain_names(error, line) or explain(error)
        if explained is None:
            raise
        raise explained from error


def _explain_words(line: CommandLine) -> InputError | None:
    """Return the error for a word that Hydra's grammar does not take, or None."""
    first, groups = line.command.get("FIRST_WORD"), help_page.read_page(line.command.name).groups
    for word in line.words:
        shown = shorten(show(word))
        if is_bare(word):
            hint = "write options as NAME=VALUE, with quotes around spaces"
            if first and os.path.exists(word):
                hint = (
                    f"write a first file as {first}={shorten(word)}, and several as a list: [a,b]"
                )
            return InputError(f"{shown}: {hint}")
        try:
            [override] = parse([word])
        except Exception:  # a syntax error, or a number that is too long for Python
            quoted = f"{shorten(split(word)[1])}=\"'...'\""
            hint = f"is not valid in Hydra's grammar; quote special characters: {quoted}"
            return InputError(f"{shown}: {hint}")
        if override.is_sweep_override() and not is_multirun(line.words):
            hint = "several values need -m, which runs each; write a list as [1,2], and 0.5 not 0,5"
            return InputError(f"{shown}: {hint}")
        if (
            override.key_or_group in groups
            and not override.is_delete()
            and override.value() is None
        ):
            choices = ", ".join(groups[override.key_or_group])
            return InputError(f"{shown}: takes one of {choices}")
    return None


def _explain_names(error: Exception, line: CommandLine) -> InputError | None:
    """Return the error for a choice or an option that does not exist, or None."""
    page = help_page.read_page(line.command.name)
    for cause in walk_causes(error):
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            file = str(cause.missing_cfg_file)
            group, _, choice = file.rpartition("/")
            hint = suggest_name(choice, cause.options or ())
            hint += f"; the choices are {', '.join(cause.options)}" if cause.options else ""
            typed = (show(word) for word in line.words if word.replace("=", "/") == file)
            shown = next(typed, f"{group}={choice}")
            return InputError(f"{shorten(shown)}: no such choice{hint}")
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            parent = cause.full_key.rpartition(".")[0]
            beside = [f"{parent}.{key}" for key in cause.parent_node or ()] if parent else []
            return _explain_unknown_option(str(cause.full_key), beside, page, line.words)
    return None


def _explain_unknown_option(
    name: str, beside: list[str], page: help_page.Page, words: Sequence[str]
) -> InputError:
    """Return the error for an unknown option, with the most similar name as a hint."""
    # Hydra reports only the first unknown part of a dotted name.
    typed = [word for word in words if f"{get_key(word)}.".startswith(f"{name}.")]
    shown, name = (shorten(show(typed[0])), get_key(typed[0])) if typed else (name, name)
    for choice, options in page.choice_options.items():
        if name in options:
            return InputError(f"{shown}: only {choice} has this option")
    hint = _suggest_option(name, [*beside, *page.list_names()])
    if name.partition(".")[0] in page.groups and "." in name:
        hint += f"; an option that is not in conf/ needs a plus: +{shown}"
    return InputError(f"{shown}: no such option{hint}")


def _suggest_option(name: str, names: Sequence[str]) -> str:
    """Return a hint for a name that is misspelled or lacks its group, such as ``batch_size``."""
    for option, foreign_names in _FOREIGN_NAMES.items():
        if name.lower() in foreign_names.split() and option in names:
            return f"; in charrnn its name is {option}"
    # A name that exists was refused because the chosen groups lack it, so it is no hint.
    names = [full for full in names if full != name]
    # Of several options with the same last part, the first is suggested.
    options = {full.rpartition(".")[2]: full for full in reversed(names)}
    options |= {full: full for full in names}
    for wanted in (name, name.rpartition(".")[2]):
        if closest := find_closest(wanted, options):
            return f"; did you mean {options[closest]}?"
    return "; --help=all lists the options"
