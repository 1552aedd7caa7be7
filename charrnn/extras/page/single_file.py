"""Make a single HTML file with style, script and data, which loads nothing else.

A Content-Security-Policy allows only the hashes of this style and this script, workers of the page,
and no address; a served page may ask its server. Models, texts and the worker's script are data:
JSON without `<`, so that no data can end its element.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SITE = Path(__file__).parent / "site"

_HEAD, _END = '<meta charset="utf-8">', "</body>"


def make_single_file(
    html: str, *, style: str, script: str, data: Mapping[str, Any], is_served: bool = False
) -> str:
    """Put a page, its style, its script and its data into one HTML file.

    Args:
        html: without style and script.
        style: CSS.
        script: JavaScript, which runs after all elements; it may compile WebAssembly.
        data: what becomes JSON, by the id of its element.
        is_served: whether the page may connect to its server.
    """
    script = f'"use strict";\n{script}'
    for ending in ("</script", "<!--"):
        if ending in script.lower():
            raise ValueError(f"the script contains {ending!r}, which would end it")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_for_policy(script)} 'wasm-unsafe-eval'",
            f"style-src {_hash_for_policy(style)}",
            "worker-src blob:",
            *(["connect-src 'self'"] if is_served else []),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="referrer" content="no-referrer">\n<style>{style}</style>'
    )
    escaped = r"\u003c"  # In JSON, `<` occurs only in strings.
    end = "\n".join(
        f'<script type="application/json" id="{name}">'
        f"{json.dumps(value, separators=(',', ':')).replace('<', escaped)}</script>"
        for name, value in data.items()
    )
    html = replace_once(html, _HEAD, f"{_HEAD}\n{head}")
    return replace_once(html, _END, f"{end}\n<script>{script}</script>\n{_END}")


def replace_once(html: str, old: str, new: str) -> str:
    """Replace a part of a page. Raise ValueError unless the page contains it once."""
    if html.count(old) != 1:
        raise ValueError(f"the page contains {old!r} {html.count(old)} times, not once")
    return html.replace(old, new)


def _hash_for_policy(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


# -- Join JavaScript modules into one script. Browsers do not load modules from file://, and an
# inline module cannot import another. Each module becomes a function that returns its exports, and
# a module follows its imports. Only the forms of import and export in charrnn's modules work.


_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def join_modules(*modules: Path) -> str:
    """Return one script that runs these modules, each after its imports."""
    scripts: dict[Path, str] = {}
    for module in modules:
        _add_module(module.resolve(), scripts)
    return "\n".join(scripts.values())


def _add_module(path: Path, scripts: dict[Path, str]) -> None:
    """Add the script of a module to `scripts`, after those of the modules that it imports."""
    if path in scripts:
        return
    text = path.read_text(encoding="utf-8")
    for _, name in _IMPORT.findall(text):
        _add_module((path.parent / name).resolve(), scripts)

    def to_assignment(match: re.Match[str]) -> str:
        """Return an import as an assignment from the variable of the imported module."""
        return f"const {{{match[1]}}} = {_make_variable_name((path.parent / match[2]).resolve())};"

    exported = [name for _, name in _EXPORT.findall(text)]
    # Without `export`: the function below returns the exports.
    text = _EXPORT.sub(r"\1 \2", _IMPORT.sub(to_assignment, text))
    if other := _OTHER.search(text):
        raise ValueError(f"{path}: {other[0]!r} is not a supported form of import or export")
    end = f"return {{ {', '.join(exported)} }};"
    scripts[path] = f"const {_make_variable_name(path)} = (() => {{\n{text}\n{end}\n}})();\n"


def _make_variable_name(path: Path) -> str:
    """Return the variable of a module's exports; file names in a page are unique."""
    return "module_" + re.sub(r"\W", "_", path.stem)
