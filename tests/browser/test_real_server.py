"""The page with the server that it is made for, on models of random weights."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.model import Model
from charrnn.text.vocabulary import Vocabulary
from tests.browser.files import watched
from tests.browser.steps import highlighted, set_field, slide, text_of, until, write
from tests.generation.models import trained_model

pytestmark = pytest.mark.browser


@contextmanager
def page_of(chromium: Any, model: Model, folder: Path, *options: str) -> Iterator[Any]:
    """The page at / of `charrnn serve`, with one text of 20 characters as its settings."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    model.save(folder / "random.safetensors")
    command = [sys.executable, "-m", "charrnn", "serve", "port=0", "engine=numpy", "unknown=error"]
    command += [f"checkpoint={folder / 'random.safetensors'}", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            with watched(chromium, found[0], base_url=found[0]) as context:
                page = context.new_page()
                page.goto("/")
                page.locator("#model option").first.wait_for(state="attached")
                slide(page, "Length", "0")
                yield page
        finally:
            process.terminate()


def test_what_the_page_writes_is_what_the_model_writes(chromium: Any, tmp_path: Path) -> None:
    model = Model(trained_model(conviction=2.0))
    with page_of(chromium, model, tmp_path) as page:
        slide(page, "Texts", "1")
        slide(page, "Temperature", "0.7")
        set_field(page, "seed", "7")
        write(page, "It was")
        expected = model.generate(length=20, start_text="It was", temperature=0.7, seed=7)
        written = text_of(page).removeprefix("It was")
        assert len(written) > 5
        assert expected.startswith(written)  # but for the word that it ends in
        expected = written

        page.reload()
        kept = page.evaluate("JSON.parse(localStorage.getItem('charrnn.draft'))")
        logits = model.logits(kept["text"])[5:-1].astype(np.float64)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        ids = model.vocabulary.encode(expected)
        bits = -logits[np.arange(len(ids)), ids] / np.log(2)
        shown = [(ord(letter) - 48) / 10 for letter in kept["bits"][6:]]
        assert shown == pytest.approx(bits.tolist(), abs=0.06)


def test_what_is_typed_is_as_surprising_as_the_model_says(chromium: Any, tmp_path: Path) -> None:
    model = Model(trained_model())
    with page_of(chromium, model, tmp_path) as page:
        page.locator("#text").fill("It was a dark and stormy night")
        page.locator("#show-typed").evaluate("box => box.click()")
        page.locator("#character").get_by_text("was").wait_for()
        logits = model.logits("It was a dark and stormy night")[-2].astype(np.float64)
        chance = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        share = 100 * chance[model.vocabulary.encode("t")[0]]
        told = re.search(r"“t” was (\S+) % likely", page.locator("#character").text_content())
        assert told is not None
        assert float(told[1]) == pytest.approx(share, rel=0.06, abs=0.5)


def test_what_stands_in_the_training_text_is_underlined(chromium: Any, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(
        "It was a dark and stormy night; the rain fell in torrents."
    )
    corpus = f"corpus={tmp_path / 'corpus.txt'}"
    with page_of(chromium, Model(trained_model()), tmp_path, corpus) as page:
        page.locator("#text").fill("We say: a dark and stormy night, and the rain fell.")
        until(lambda: highlighted(page, "copied", ".mirror") == "a dark and stormy night")


def test_a_model_of_bytes(chromium: Any, tmp_path: Path) -> None:
    """Its bytes come one by one and are shown as characters, also where they make none."""
    tokens = ["a", "\n", " ", "[195]", "[169]", "[255]"]
    model = Model(trained_model(vocabulary=Vocabulary.from_tokens(tokens), conviction=1))
    with page_of(chromium, model, tmp_path) as page:
        write(page, "é a")
        shown = "".join(page.locator("#alternatives .text").all_text_contents())
        assert set() < set(shown) <= set("a\n é\ufffd")


def test_options_for_the_text_reach_the_model(chromium: Any, tmp_path: Path) -> None:
    model = Model(trained_model(conviction=2))
    with page_of(chromium, model, tmp_path) as page:
        fields = {"ban": "eE", "biased": "!?", "bias": "2", "stop": "!o", "seed": "5"}
        for name, to in fields.items():
            set_field(page, name, to)
        slide(page, "Length", "7")
        write(page, "Hm: ")
        limits = {"ban": "eE", "logit_bias": {"!?": 2}, "until": "!o"}
        texts = model.generate(2000, "Hm: ", seed=5, num_samples=3, **limits)
        until(lambda: page.locator("#alternatives .text").all_text_contents() == texts)
