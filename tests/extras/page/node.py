"""The page's JavaScript in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import charrnn
from charrnn.extras.page.packing import pack_model
from charrnn.extras.page.single_file import join_modules
from charrnn.models.trained import TrainedModel

PAGE = Path(charrnn.__file__).parent / "extras" / "page" / "site"
NETWORK = PAGE / "network"


def run(script: str, *modules: Path, given: Any = None) -> Any:
    """Return the result of the body of a JavaScript function.

    Args:
        script: it sees what the modules export as `module_NAME`, and `given`.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here; apt install nodejs")
    # ASCII, and no line of it is long enough to be cut: node reads it as one program
    program = (
        f"const given = {json.dumps(given)};\n{join_modules(*modules)}\n"
        f"(async () => {{ {script} }})().then((value) => console.log(JSON.stringify(value)));"
    )
    done = subprocess.run(
        [node, "-"], input=program, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def with_sampler(model: TrainedModel, script: str, bits: int = 32) -> Any:
    """Return the result of a JavaScript body that sees `sampler`, one of this model."""
    made = "const sampler = module_network_sampler.createSampler(given);"
    return run(made + script, NETWORK / "network-sampler.js", given=pack_model(model, bits))
