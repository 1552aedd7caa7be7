"""Translate errors of Hydra and OmegaConf into one line.

Their messages describe config nodes in several lines. A user needs the typed option and a hint.

Only these lines are not in `charrnn.explanations`: they need the words of the command line, and
that file also explains errors where there is none, without importing Hydra.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Sequence

from hydra.errors import MissingConfigException
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from charrnn import plugins
from charrnn.cli import help_page
from charrnn.cli.checked_options import UnknownOption
from charrnn.cli.overrides import (
    CommandLine,
    find_word,
    get_key,
    is_bare,
    is_multirun,
    parse,
    show,
    split,
)
from charrnn.errors import (
    InputError,
    RunError,
    find_closest,
    make_write_error,
    shorten,
    suggest_name,
    to_one_line,
    walk_causes,
)
from charrnn.options.ranges import parse_duration

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
    except Exception as error:
        explained = error
        if not isinstance(error, InputError | RunError) or isinstance(error, UnknownOption):
            explained = _translate_error(error, line)
        if explained is error:
            raise
        raise explained from error


def _translate_error(error: Exception, line: CommandLine) -> InputError | RunError:
    """Return the one-line error for an exception that the overrides of a command line cause."""
    page, words = help_page.read_page(line.command.name), line.words
    if isinstance(error, UnknownOption):
        return _explain_unknown_option(error, page, words)
    for word in words:
        if problem := _find_problem(word, page, line):
            return InputError(f"{shorten(show(word))}: {problem}")
    for cause in walk_causes(error):
        if isinstance(cause, OSError) and cause.filename is not None:
            return make_write_error(cause.filename, cause)
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            return _explain_missing_choice(cause, words)
        if isinstance(cause, InterpolationKeyError) and cause.full_key:
            for word in words:  # ~schedule, to which another option refers
                if word.startswith("~") and f"'{get_key(word).rpartition('.')[2]}'" in str(cause):
                    return InputError(f"{show(word)}: {cause.full_key} needs it; leave this out")
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            if isinstance(cause, KeyError | AttributeError):
                parent = cause.full_key.rpartition(".")[0]
                beside = [f"{parent}.{key}" for key in cause.parent_node or ()] if parent else []
                return _explain_unknown_option(
                    UnknownOption(cause.full_key, names=beside), page, words
                )
            return InputError(f"{cause.full_key}: {to_one_line(str(cause).splitlines()[0])}")
    if match := re.match(r"Could not (?:override|delete)\b.*?'(.*?)'", str(error)):
        if match[1] in page.options:  # its default is null
            return InputError(f"{match[1]}: cannot be left out")
        return _explain_unknown_option(UnknownOption(match[1]), page, words)
    return InputError(f"these options cannot be composed: {to_one_line(error, 500)}")


def _explain_missing_choice(error: MissingConfigException, words: list[str]) -> InputError:
    """Return the error for a choice that a group does not have."""
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    hint = suggest_name(choice, error.options or ())
    hint += f"; the choices are {', '.join(error.options)}" if error.options else ""
    shown = f"{group}={choice}" if group else choice
    for prefix, name, value in map(split, words):
        if f"{name}/{value}" == error.missing_cfg_file:
            shown = f"{prefix}{name}={value}"
            if os.path.exists(choice):
                hint += f"; to train on this text, set data.input_txt={shorten(choice)}"
    return InputError(f"{shorten(shown)}: no such choice{hint}")


def _explain_unknown_option(
    error: UnknownOption, page: help_page.Page, words: list[str]
) -> InputError:
    """Return the error for an unknown option, with the most similar name as a hint."""
    # Hydra reports only the first unknown part of a dotted name.
    typed = [word for word in words if f"{get_key(word)}.".startswith(f"{error.name}.")]
    shown = shorten(show(typed[0])) if typed else error.shown
    name = get_key(typed[0]) if typed else error.name
    if name in help_page.WITHOUT_A_NODE and name in page.groups:
        return InputError(f"{shown}: the first line of its file must be # @package _global_")
    for choice, options in page.choice_options.items():
        if name in options:
            return InputError(f"{shown}: only {choice} has this option")
    if name in page.options and "." in name:
        group = name.partition(".")[0]
        return InputError(f"{shown}: the chosen {group}= has no such option; +{shown} adds it")
    names = [*error.names, *page.list_names()]
    hint = _suggest_option(name, names)
    is_new = "." in name and find_closest(name, names, 0.85) is None
    has_plus = bool(typed) and typed[0].startswith("+")
    if is_new and typed and not has_plus and name.split(".")[0] in (*page.groups, "hydra"):
        hint += f"; an option that is not in conf/ needs a plus: +{show(typed[0])}"
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


def _find_problem(word: str, page: help_page.Page, line: CommandLine) -> str:
    """Return a problem of an override that does not depend on other overrides, or ""."""
    prefix, name, value = split(word)
    first = line.command.get("FIRST_WORD")
    is_file = first is not None and os.path.exists(word)
    if prefix == "~" and value is None and "." not in name and name in page.options:
        return "cannot be left out"
    if word[:1].isspace():
        return "starts with a blank; leave it out"
    if len(words := _split_options(word, page)) > 1:
        return f"holds several options; write each as a word of its own: {' '.join(words)}"
    if value is None and prefix != "~":
        return _explain_bare_word(word, is_file, first or "", page, line.words)
    if is_file and name not in page.list_names():
        return f"no such option; if this is a file, write {first}={shorten(word)}"
    try:
        [override] = parse([word])
    except Exception:  # a syntax error, or a number that is too long for Python
        if str(value).lstrip("+-").isdigit():
            return "is too large a number"
        quoted = f"{prefix}{shorten(name)}=\"'...'\""
        return f"is not valid in Hydra's grammar; quote special characters: {quoted}"
    if override.is_sweep_override() and not is_multirun(line.words):
        # A whole number never has a decimal comma, so 8,16 is a sweep.
        default = page.options.get(name, help_page.Option("", "")).default
        if re.fullmatch(r"-?0,\d+" if "." not in default else r"-?\d+,\d+", str(value)):
            return f"write a number with a decimal point: {name}={str(value).replace(',', '.')}"
        return "several values need -m, which runs each; write a list as [1,2]"
    if name not in page.list_names() and (plugins.CONF / name).is_dir():  # of another command
        return f"charrnn {line.command.name} has no such option; --help=all lists its options"
    is_node = isinstance(override.value(), str | list | dict) or override.is_delete()
    if name in page.groups and not (override.is_sweep_override() or is_node):
        return f"takes one of {', '.join(page.groups[name])}"
    exists = override.key_or_group in (*page.options, *page.groups)
    if override.is_add() and exists and not isinstance(override.value(), dict):
        return "exists already; leave out the +"
    return ""


def _split_options(word: str, page: help_page.Page) -> list[str]:
    """Return the options in a word, which are several if they were quoted together."""
    if (split(word)[2] or "")[:1] in ("'", '"'):
        return [word]  # one text, which may contain anything
    names = "|".join(map(re.escape, page.list_names()))
    return re.split(rf"[\s,;]+(?=[+~]{{0,2}}(?:{names})=)", word)


def _explain_bare_word(
    word: str, is_file: bool, first: str, page: help_page.Page, words: list[str]
) -> str:
    """Return what to write instead of a word without an equals sign.

    Args:
        first: the option that the first word sets; "" if there is none.
    """
    typed = find_word(words, first)
    first_value = None if typed is None else show(typed).partition("=")[2]
    if is_file:
        if first_value is None:
            return f"put it first, or write {first}={shorten(word)}"
        if first != "data.input_txt" and "data.input_txt" in page.options:
            return f"if it is a text, write data.input_txt={shorten(word)}"
        return 'give several paths as a list, if it takes them: "[one,two]"; -m runs each'
    if os.path.exists(path := " ".join(filter(None, [first_value, *filter(is_bare, words)]))):
        return f"put a name with spaces in quotes: {shlex.quote(path)}"
    if parse_duration(word) and "budget" in page.options:
        return f"did you mean budget={word}?"
    return "write options as NAME=VALUE, with quotes around spaces; --help=all lists them"
