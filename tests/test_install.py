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


def test_a_checkout_is_named_as_it_is_typed(
    installed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "it's mine"
    checkout.mkdir()
    installed({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    assert given_to_pip("serve") == ["-e", "./it's mine[serve]"]
    monkeypatch.chdir(checkout)
    assert given_to_pip("serve") == ["-e", ".[serve]"]
    monkeypatch.chdir("/")
    assert given_to_pip("serve") == ["-e", f"{'.' + str(checkout)}[serve]"]
    installed({"url": checkout.as_uri(), "dir_info": {}})
    assert given_to_pip("serve") == [f"{'.' + str(checkout)}[serve]"]


def test_a_wheel_is_named_by_its_file(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "charrnn_lightning-9.8-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert given_to_pip("fast") == [f"./{wheel.name}[fast]"]
    wheel.unlink()
    assert given_to_pip("fast") == ["charrnn-lightning[fast]==9.8"]


def test_what_came_from_elsewhere_is_named_by_its_address(installed: Any) -> None:
    installed({"url": "https://example.org/charrnn.whl", "archive_info": {}})
    assert given_to_pip("fast") == ["charrnn-lightning[fast] @ https://example.org/charrnn.whl"]
    vcs = {"vcs": "git", "commit_id": "0f3c"}
    installed({"url": "https://example.org/charrnn", "vcs_info": vcs})
    assert given_to_pip("fast") == [
        "charrnn-lightning[fast] @ git+https://example.org/charrnn@0f3c"
    ]


def test_by_name_it_is_the_version_that_is_here(installed: Any) -> None:
    installed(None)
    assert given_to_pip("fast") == ["charrnn-lightning[fast]==9.8"]
