"""Several JavaScript modules as one script, so that a page that is a single file can have them.

A browser loads no module from file://, and an inline one cannot import another. So each module
becomes a function that returns what it exports, in an order in which what is imported stands
before. This is no bundler: it knows the forms of import and export that charrnn's own modules
have, and refuses any other.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def joined(*modules: Path) -> str:
    """One script that runs these modules, each after those that it imports."""
    written: dict[Path, str] = {}
    for module in modules:
        _add(module.resolve(), written, ())
    return "\n".join(written.values())


def _add(path: Path, written: dict[Path, str], importers: tuple[Path, ...]) -> None:
    if path in written:
        return
    if path in importers:
        raise ValueError(f"{path} imports itself, by way of {importers[-1]}")
    text = path.read_text(encoding="utf-8")
    for _, name in _IMPORT.findall(text):
        _add((path.parent / name).resolve(), written, (*importers, path))

    def import_(match: re.Match[str]) -> str:
        return f"const {{{match[1]}}} = {_variable((path.parent / match[2]).resolve())};"

    exported = [name for _, name in _EXPORT.findall(text)]
    text = _EXPORT.sub(r"\1 \2", _IMPORT.sub(import_, text))
    if other := _OTHER.search(text):
        raise ValueError(f"{path}: {other[0]!r} is no form of import or export that is known here")
    ends = f"return {{ {', '.join(exported)} }};"
    written[path] = f"const {_variable(path)} = (() => {{\n{text}\n{ends}\n}})();\n"


def _variable(path: Path) -> str:
    """The name under which a module's exports stand; modules of a page have names of their own."""
    return "module_" + re.sub(r"\W", "_", path.stem)
