"""The site of docs/, with live pages that stand for those of the gallery."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

pytest.importorskip("material")
PAGES = ("plays", "laws", "code", "names", "recipes", "poems")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the sources of the site."""
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    for path in (REPOSITORY / "mkdocs.yml", *REPOSITORY.glob("*.md")):
        shutil.copy(path, tmp_path)
    gallery = tmp_path / "build" / "gallery"
    gallery.mkdir(parents=True)
    times = {f"{name}.html": "2:22" for name in PAGES}
    (gallery / "pages.json").write_text(json.dumps({"machine": "an abacus", "times": times}))
    for name in PAGES:
        (gallery / f"{name}.html").write_text("<p>a page")
    return tmp_path


def test_the_models_the_api_and_the_notebook_are_on_the_site(checkout: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = checkout / "build" / "site"
    names = ("index", "gallery", "api", "tour")
    home, gallery, api, tour = ((site / f"{name}.html").read_text("utf-8") for name in names)
    assert home.count('href="gallery/') == 3
    assert "data-keep" in (site / "learn.html").read_text("utf-8")
    for name in PAGES:
        assert gallery.count(f'href="gallery/{name}.html"') == 2  # the picture, and the words
        assert (site / "gallery" / f"{name}.html").read_text() == "<p>a page"
    assert gallery.count("2:22 minutes on an abacus") == len(PAGES)
    for name in ("charrnn.load", "charrnn.Model.generate", "charrnn.SamplingParams"):
        assert f'id="{name}"' in api
    assert tour.count('src="data:image/png') == 2
