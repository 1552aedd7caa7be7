r"""Parse one override of a command line, and quote literal texts for Hydra.

Hydra's grammar rejects ``Zür``, ``What's``, ``(hi)`` and line breaks; it reads ``O Romeo, Romeo``
as a sweep and ``123`` as a number. Therefore the value of a text or path option is literal: it is
quoted for Hydra, and its ``${`` is escaped for OmegaConf. Only these values of such an option are
in Hydra's grammar:

- one quoted string, in which Hydra resolves ``${...}``;
- with ``-m``, quoted strings that commas separate: a sweep over texts;
- a bracketed list, if the option takes one;
- the bare word ``null``, if the option may be unset;
- a folder of Hydra's (``hydra.run.dir``) with ``${...}``, which Hydra resolves in any case.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from charrnn import plugins
from charrnn.cli.checked_options import get_traits, get_types, list_options
from charrnn.options.ranges import PATH, TEXT
from charrnn.runs.folder import escape_interpolations

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # path options of every command

_WORD = re.compile(r"(\+\+|\+|~|)([^=]*)(?:=(.*))?", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_ONE_QUOTED = re.compile(_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", re.DOTALL)


@dataclass(frozen=True)
class Override:
    """An override: ``NAME=VALUE``, ``+NAME=VALUE``, ``++NAME=VALUE``, ``~NAME`` or a bare word.

    Attributes:
        prefix: "", "+", "++" or "~".
        name: the option or the group.
        value: the typed value; None without an equals sign.
        texts: the literal value of a text or path option, or several in a sweep. Empty if Hydra
            parses the value.
    """

    prefix: str
    name: str
    value: str | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def from_word(cls, word: str) -> Override:
        """Return the override of a word; Hydra parses its value."""
        match = _WORD.fullmatch(word)
        assert match is not None  # any word matches
        prefix, name, value = match.groups()
        return cls(prefix, name, value)

    @classmethod
    def from_texts(cls, name: str, *texts: str) -> Override:
        """Return the override that sets an option to a text, or to each of several in a sweep."""
        value = texts[0] if len(texts) == 1 else ",".join(map(quote, texts))
        return cls("", name, value, texts)

    @property
    def is_bare_word(self) -> bool:
        return not self.prefix and self.value is None

    @property
    def key(self) -> str:
        """The dotted option: ``hydra.launcher`` for ``hydra/launcher=joblib``."""
        return self.name.partition("@")[0].replace("/", ".")

    @property
    def text(self) -> str | None:
        """The only text; None if there are several or Hydra parses the value."""
        return self.texts[0] if len(self.texts) == 1 else None

    @property
    def typed(self) -> str:
        """The word as the user types it."""
        return self.prefix + self.name + ("" if self.value is None else f"={self.value}")

    @property
    def word(self) -> str:
        """The word in Hydra's grammar."""
        texts = ",".join(map(quote, self.texts))
        return f"{self.prefix}{self.name}={texts}" if self.texts else self.typed

    def read_texts(self, kinds: Collection[Any] | None, multirun: bool) -> Override:
        """Return the override with its texts, if `kinds` are the types of a text option."""
        value = self.value
        if kinds is None or value is None or self.prefix == "~":
            return self
        if self.name in FOLDERS and "${" in value:
            return self  # Hydra resolves it in any case.
        if (type(None) in kinds and value == "null") or (
            list[str] in kinds and value.startswith("[") and value.endswith("]")
        ):
            return self
        if not _ONE_QUOTED.fullmatch(value) and not (multirun and _SEVERAL_QUOTED.fullmatch(value)):
            return replace(self, texts=(value,))
        if "${" in value:
            return self
        parser = OverridesParser.create()
        parsed = (parser.parse_override(f"x={quoted}") for quoted in _ONE_QUOTED.findall(value))
        return replace(self, texts=tuple(str(override.value()) for override in parsed))


def find_text_options(command: str) -> dict[str, tuple[Any, ...]]:
    """Return the text and path options of a command, each with its possible types."""
    return dict.fromkeys(FOLDERS, (str,)) | {
        name: get_types(annotation)
        for name, annotation in list_options(plugins.get_command(command).get("OPTIONS"))
        if {TEXT, PATH} & {*get_traits(annotation)}
    }


def quote(text: str) -> str:
    """Quote `text` so that Hydra and OmegaConf together read it back unchanged."""
    if text == "???":
        # OmegaConf's mark for a missing value has no escape.
        return r"""'${oc.decode:"\'???\'"}'"""
    # Both grammars unescape a backslash only before a quote or an interpolation.
    text = escape_interpolations(text)
    text = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", text)
    text = re.sub(r"\\+\Z", lambda run: run[0] * 2, text)
    return f"'{text}'"
