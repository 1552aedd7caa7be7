"""The line that tells somebody to install an extra."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from charrnn.errors import install


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A charrnn as pip has recorded it: a function of what it was installed from."""

    def record(origin: dict[str, Any] | None) -> None:
        folder = tmp_path / "site" / "charrnn_lightning-9.8.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text("Name: charrnn-lightning\nVersion: 9.8\n")
        if origin is not None:
            (folder / "direct_url.json").write_text(json.dumps(origin))

    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    return record


def given_to_pip(extra: str) -> list[str]:
    words = shlex.split(install(extra))
    return words[words.index("install") + 1 :]


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (None, ["charrnn-lightning[fast]==9.8"]),
        ({"url": "file:///a.whl", "archive_info": {}}, ["charrnn-lightning[fast] @ file:///a.whl"]),
        (
            {"url": "https://a.org/b", "vcs_info": {"vcs": "git", "commit_id": "0f3c"}},
            ["charrnn-lightning[fast] @ git+https://a.org/b@0f3c"],
        ),
    ],
)
def test_what_charrnn_came_from_is_named(
    installed: Any, origin: dict[str, Any] | None, words: list[str]
) -> None:
    installed(origin)
    assert given_to_pip("fast") == words
