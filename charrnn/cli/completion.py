"""Complete commands, options and choices in the shell, by Hydra's plugin for it.

``eval "$(charrnn -sc install=bash)"`` installs it. The shell then calls ``charrnn -sc query=bash``
with the typed line in COMP_LINE.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Sequence

from charrnn import plugins
from charrnn.errors import InputError

_REQUEST = re.compile("(install|uninstall|query)=(bash|fish|zsh)")


def complete(typed: Sequence[str]) -> str:
    """Return Hydra's answer to ``-sc install=SHELL``, ``uninstall=SHELL`` or ``query=SHELL``."""
    request = typed[-1]
    if not _REQUEST.fullmatch(request):
        raise InputError("-sc: takes install=bash or uninstall=bash, or the same with fish or zsh")
    if not request.startswith("query="):
        return _ask_hydra("train", request)
    # Hydra's plugin expects no command after the program's name.
    program, _, line = os.environ.get("COMP_LINE", "").lstrip().partition(" ")
    command, blank, line = line.lstrip().partition(" ")
    if not blank:
        return " ".join(plugins.list_commands())
    # An error would be printed into the line that is being typed.
    with contextlib.suppress(Exception):
        from charrnn.cli.overrides import quote_literals

        *words, last = line.split(" ")
        words = quote_literals([*filter(None, words)], plugins.get_command(command))
        os.environ["COMP_LINE"] = " ".join([program, *words, last])
        return _ask_hydra(command, request)
    return ""


def _ask_hydra(name: str, request: str) -> str:
    from charrnn.cli import front  # slow

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        front.run_hydra(plugins.get_command(name), ["-sc", request])
    return output.getvalue().rstrip("\n")
