"""One HTML file that needs nothing else, and to which nothing but itself can happen.

Its style and its script stand in it, each allowed by its hash: a Content-Security-Policy forbids
every other script, every style and every address. What it shows of a model or of a text is data:
JSON in which no `<` is left, so that nothing in it ends the element in which it stands.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

SITE = Path(__file__).parent / "site"

_HEAD, _END = '<meta charset="utf-8">', "</body>"


def read_style(folder: Path) -> str:
    """The CSS of the page in a folder: what all pages have, and its own."""
    files = (SITE / "shared.css", folder / "style.css")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def make_single_file(html: str, *, style: str, script: str, data: Mapping[str, str]) -> str:
    """A page in one file.

    Args:
        html: with neither style nor script of its own.
        style: CSS.
        script: JavaScript, run once all elements are there; it may compile WebAssembly.
        data: JSON in ASCII by the id of the element whose text it becomes.
    """
    script = f'"use strict";\n{script}'
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)} 'wasm-unsafe-eval'",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="referrer" content="no-referrer">\n<style>{style}</style>'
    )
    end = "\n".join(
        f'<script type="application/json" id="{name}">{escape_json(json)}</script>'
        for name, json in data.items()
    )
    html = replace_once(html, _HEAD, f"{_HEAD}\n{head}")
    return replace_once(html, _END, f"{end}\n<script>{_check_script(script)}</script>\n{_END}")


def escape_json(json: str) -> str:
    """JSON as the text of an element: in strings, and nowhere else, it may have a `<`."""
    return json.replace("<", r"\u003c")


def replace_once(html: str, old: str, new: str) -> str:
    """HTML with something in it, which stands there once, replaced.

    Raises:
        ValueError: it does not.
    """
    if html.count(old) != 1:
        raise ValueError(f"the page has {old!r} {html.count(old)} times, not once")
    return html.replace(old, new)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _check_script(script: str) -> str:
    """The script, in which nothing ends its element.

    Raises:
        ValueError: something does.
    """
    for ending in ("</script", "<!--"):
        if ending in script.lower():
            raise ValueError(f"the script has {ending!r} in it, which would end it")
    return script


# -- Several JavaScript modules as one script. A browser loads no module from file://, and an
# inline one cannot import another. So each module becomes a function that returns what it
# exports, in an order in which what is imported stands before. This is no bundler: it knows the
# forms of import and export that charrnn's own modules have, and refuses any other.


_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def join_modules(*modules: Path) -> str:
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
