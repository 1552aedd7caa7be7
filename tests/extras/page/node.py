"""The page's JavaScript in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import charrnn
from charrnn.extras.page.single_file import join_modules

PAGE = Path(charrnn.__file__).parent / "extras" / "page" / "site"
NETWORK = PAGE / "network"


def run_node(*words: str, **how: Any) -> Any:
    """Return the JSON that a program prints. Without node the test is skipped."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here; apt install nodejs")
    done = subprocess.run([node, *words], capture_output=True, text=True, encoding="utf-8", **how)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(script: str, *modules: Path, given: Any = None) -> Any:
    """Return the result of the body of a JavaScript function.

    Args:
        script: it sees what the modules export as `module_NAME`, and `given`.
    """
    # ASCII, and no line of it is long enough to be cut: node reads it as one program
    program = (
        f"const given = {json.dumps(given)};\n{join_modules(*modules)}\n"
        f"(async () => {{ {script} }})().then((value) => console.log(JSON.stringify(value)));"
    )
    return run_node("-", input=program)
