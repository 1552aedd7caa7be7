r"""One override of a command line, which is read once and written once.

Hydra's grammar fails on ``Zür``, ``What's``, ``(hi)`` and line breaks, takes ``O Romeo, Romeo`` for
a sweep and ``123`` for a number; OmegaConf then looks for ``${`` in what is left. So the value of
an option that is a text or a path is taken literally. When Hydra gets the override, the text is in
quotes for the one, and its ``${`` is escaped for the other. Of such an option, these values are in
Hydra's grammar:

- one quoted string, in which ``${...}`` is Hydra's, too;
- with ``-m``, several quoted strings with commas between: a sweep over texts;
- a bracketed list, if the option takes one;
- the bare word ``null``, if the option may be unset.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from charrnn import plugins
from charrnn.cli.checked_options import declared, kinds_of
from charrnn.options.ranges import PATH, TEXT
from charrnn.runs.folder import escape_interpolations

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # paths that every command takes

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
        value: as it was typed; None if there is no equals sign.
        texts: the value without quotes, for an option that is a text or a path: one text, or
            several in a sweep. Empty if Hydra reads the value.
    """

    prefix: str
    name: str
    value: str | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def from_word(cls, word: str) -> Override:
        """Return the override of a word, whose value Hydra reads."""
        match = _WORD.fullmatch(word)
        assert match is not None  # any word matches
        prefix, name, value = match.groups()
        return cls(prefix, name, value)

    @classmethod
    def from_texts(cls, name: str, *texts: str) -> Override:
        """Return the override that sets an option to a text, or to each of several in a sweep."""
        value = texts[0] if len(texts) == 1 else ",".join(map(quoted, texts))
        return cls("", name, value, texts)

    @property
    def is_bare_word(self) -> bool:
        return not self.prefix and self.value is None

    @property
    def key(self) -> str:
        """The option that it sets, dotted: ``hydra.launcher`` of ``hydra/launcher=joblib``."""
        return self.name.partition("@")[0].replace("/", ".")

    @property
    def text(self) -> str | None:
        """The only text; None if there are several or Hydra reads the value."""
        return self.texts[0] if len(self.texts) == 1 else None

    @property
    def typed(self) -> str:
        """The word as a person writes it."""
        return self.prefix + self.name + ("" if self.value is None else f"={self.value}")

    @property
    def word(self) -> str:
        """The word in Hydra's grammar."""
        texts = ",".join(map(quoted, self.texts))
        return f"{self.prefix}{self.name}={texts}" if self.texts else self.typed

    def read_texts(self, kinds: Collection[Any] | None, multirun: bool) -> Override:
        """Return the override with its texts.

        Args:
            kinds: the types of an option that is a text or a path; None for other options.
            multirun: whether the value may be a sweep.
        """
        value = self.value
        if kinds is None or value is None or self.prefix == "~":
            return self
        if (type(None) in kinds and value == "null") or (
            list[str] in kinds and value.startswith("[") and value.endswith("]")
        ):
            return self
        if not _ONE_QUOTED.fullmatch(value) and not (multirun and _SEVERAL_QUOTED.fullmatch(value)):
            return replace(self, texts=(value,))
        if "${" in value:
            return self
        parser = OverridesParser.create()
        strings = _ONE_QUOTED.findall(value)
        return replace(
            self, texts=tuple(str(parser.parse_override(f"x={s}").value()) for s in strings)
        )


def text_options(command: str) -> dict[str, tuple[Any, ...]]:
    """Return the options of a command that are texts or paths, each with its possible types."""
    return dict.fromkeys(FOLDERS, (str,)) | {
        name: kinds_of(hint)
        for name, hint in declared(plugins.make_options_class(command))
        if {TEXT, PATH} & {*getattr(hint, "__metadata__", ())}
    }


def quoted(text: str) -> str:
    """Write `text` so that Hydra's grammar and OmegaConf together read it back unchanged."""
    if text == "???":
        # this, OmegaConf's mark for "missing", has no escape: hide it from view
        return r"""'${oc.decode:"\'???\'"}'"""
    # both grammars read backslashes only where they stand before what they escape
    text = escape_interpolations(text)
    text = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", text)
    text = re.sub(r"\\+\Z", lambda run: run[0] * 2, text)
    return f"'{text}'"
