r"""Quote the literal texts of a command line, and read its words with Hydra's parser.

Hydra's grammar rejects ``Zür``, ``What's``, ``(hi)`` and line breaks; it reads ``O Romeo, Romeo``
as a sweep and ``123`` as a number. Therefore the value of a text or path option is literal: it is
quoted for Hydra, and its ``${`` is escaped for OmegaConf. Only these values of such an option are
in Hydra's grammar:

- one quoted string, in which Hydra resolves ``${...}``;
- with ``-m``, quoted strings that commas separate: a sweep over texts, which several bare words
  at the start also are;
- a bracketed list, if the option takes one;
- the bare word ``null``, if the option may be unset;
- a folder of Hydra's (``hydra.run.dir``) with ``${...}``, which Hydra resolves in any case.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from charrnn import plugins
from charrnn.errors import InputError
from charrnn.options.interpolations import (
    escape_interpolations,
    has_interpolation,
    unescape_interpolations,
)
from charrnn.options.ranges import PATH, TEXT, get_traits, get_types, list_options

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # path options of every command
MULTIRUN = "hydra.mode=MULTIRUN"  # the flag -m as an override

_WORD = re.compile(r"(\+\+|\+|~|)([^=]*)(?:=(.*))?", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_ONE_QUOTED = re.compile(_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", re.DOTALL)


class CommandLine(NamedTuple):
    """A command line.

    Attributes:
        flags: Hydra's flags, such as ``--config-dir FOLDER``.
        words: the overrides in Hydra's grammar.
        added: the names of the options that charrnn has added to the typed ones.
    """

    command: plugins.Command
    flags: list[str]
    words: list[str]
    added: frozenset[str] = frozenset()


def quote_literals(words: list[str], command: plugins.Command) -> list[str]:
    """Return the words in Hydra's grammar: name the first bare words, and quote literal texts."""
    first, multirun = command.get("FIRST_WORD"), is_multirun(words)
    texts = list(itertools.takewhile(is_bare, words)) if first else []
    if multirun and len(texts) > 1:
        words = [*set_text([], first, *texts), *words[len(texts) :]]
    elif texts:
        words = [f"{first}={texts[0]}", *words[1:]]
    for word in filter(is_bare, words):
        alone = f"only {first} may stand without its name, as the first word"
        raise InputError(f"{word}: write options as NAME=VALUE, with quotes around spaces; {alone}")
    words = [*map(_set_with_plus, words)]
    # the text and path options of the command, each with its possible types
    kinds = dict.fromkeys(FOLDERS, (str,)) | {
        name: get_types(annotation)
        for name, annotation in list_options(command.get("OPTIONS"))
        if {TEXT, PATH} & {*get_traits(annotation)}
    }
    return [_quote_word(word, kinds.get(get_key(word)), multirun) for word in words]


def _quote_word(word: str, kinds: Collection[Any] | None, multirun: bool) -> str:
    """Return an override with its value quoted, if `kinds` are the types of a text option."""
    prefix, name, value = split(word)
    if kinds is None or value is None or prefix == "~":
        return word
    if name in FOLDERS and value != value.encode(errors="replace").decode():
        raise InputError(f"{word}: its name is not UTF-8, which TensorBoard requires")
    is_in_grammar = (
        (name in FOLDERS and "${" in value)
        or (type(None) in kinds and value == "null")
        or (list[str] in kinds and value.startswith("[") and value.endswith("]"))
        or _ONE_QUOTED.fullmatch(value)
        or (multirun and _SEVERAL_QUOTED.fullmatch(value))
    )
    return word if is_in_grammar else f"{prefix}{name}={quote(value)}"


def quote(text: str) -> str:
    """Quote `text` so that Hydra and OmegaConf together read it back unchanged."""
    # Both grammars unescape a backslash only before a quote or an interpolation.
    text = escape_interpolations(text)
    text = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", text)
    text = re.sub(r"\\+\Z", lambda run: run[0] * 2, text)
    return f"'{text}'"


def split(word: str) -> tuple[str, str, str | None]:
    """Return the prefix ("", "+", "++" or "~"), the name and the value of an override."""
    match = _WORD.fullmatch(word)
    assert match is not None  # any word matches
    prefix, name, value = match.groups()
    return prefix, name, value


def is_bare(word: str) -> bool:
    """Return whether a word has neither a prefix nor an equals sign."""
    prefix, _, value = split(word)
    return not prefix and value is None


def get_key(word: str) -> str:
    """Return the dotted option of an override: ``hydra.launcher`` for ``hydra/launcher=joblib``."""
    return split(word)[1].partition("@")[0].replace("/", ".")


def is_multirun(words: Iterable[str]) -> bool:
    """Return whether the words ask for a sweep: -m, or sweep=NAME, whose file sets hydra.mode."""
    return any(word == MULTIRUN or get_key(word) == "sweep" for word in words)


def parse(words: Iterable[str]) -> list[Override]:
    """Parse words in Hydra's grammar. Raise HydraException if one is invalid."""
    return OverridesParser.create().parse_overrides([*words])


def find_word(words: Iterable[str], name: str) -> str | None:
    """Return the last override that sets an option, or None."""
    given = [word for word in words if get_key(word) == name and not word.startswith("~")]
    return given[-1] if given else None


def read_text(words: Iterable[str], name: str) -> str | None:
    """Return the literal text that the words set an option to, or None."""
    texts = read_texts(find_word(words, name) or "")
    return texts[0] if len(texts) == 1 else None


def read_texts(word: str) -> list[str]:
    """Return the literal texts of an override: several in a sweep, none if Hydra resolves them."""
    value = split(word)[2] or ""
    is_quoted = _ONE_QUOTED.fullmatch(value) or _SEVERAL_QUOTED.fullmatch(value)
    quoted = _ONE_QUOTED.findall(value) if is_quoted else []
    texts = [str(override.value()) for override in parse(f"x={text}" for text in quoted)]
    return [] if any(map(has_interpolation, texts)) else [*map(unescape_interpolations, texts)]


def set_text(words: Iterable[str], name: str, *texts: str) -> list[str]:
    """Return the words with an option set to a text, or to each of several in a sweep."""
    value = ",".join(map(quote, texts))
    return [*(word for word in words if get_key(word) != name), f"{name}={value}"]


def show(word: str) -> str:
    """Return an override as a user types it: a literal text without its quotes, and one plus."""
    prefix, name, value = split(word)
    prefix = prefix.replace("++", "+")  # `_set_with_plus` adds the other one
    if value is not None and _ONE_QUOTED.fullmatch(value):
        value = unescape_interpolations(str(parse([f"x={value}"])[0].value()))
    return prefix + name + ("" if value is None else f"={value}")


def _set_with_plus(word: str) -> str:
    """Return an override that also sets an option that exists, if it has a plus.

    Hydra needs two for it. A name without a dot may be a group, for which it refuses two.
    """
    prefix, name, _ = split(word)
    is_option = "." in name and not {"/", "@"} & {*name}
    return f"+{word}" if prefix == "+" and is_option else word
