"""How fast the page of `charrnn export` writes, in a headless Chromium, beside Python's engines."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measured, interleaved, seconds
from benchmarks.results import Part, Row, row
from benchmarks.workplace import Workplace

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu"]
# the best of what a browser makes of a program comes after it has run for a while
WRITE = """(length) => {
  const began = performance.now();
  window.charrnn.generate({ length, seed: 1 });
  return 1000 * length / (performance.now() - began);
}"""
LARGE = 512
DEFAULT = 256  # units that `make train` chooses for its text


def measure(place: Workplace) -> Part:
    from charrnn.model import load

    chromium = shutil.which("chromium")
    if chromium is None or find_spec("playwright") is None:
        return Part([], [], ["Without Chromium and the extra `browser`, so nothing measured."])
    model = load(place.trained / "model.safetensors")
    length = place.effort.size(20_000, least=20)

    def written(engine: str) -> Callable[[], float]:
        return lambda: length / seconds(lambda: model.generate(length, seed=1, engine=engine))

    with _browser(chromium) as browser:
        small = _page(place.folder / "small.html", model)
        default = _page(place.folder / "default.html", _untrained(place, DEFAULT))
        large = _page(place.folder / "large.html", _untrained(place, LARGE))
        in_page, in_large = _opened(browser, small), _opened(browser, large)
        speeds = {
            "page": lambda: float(in_page.evaluate(WRITE, length)),
            "numpy": written("numpy"),
            "first": lambda: _first_text(browser, default),
            "large": lambda: float(in_large.evaluate(WRITE, max(length // 10, 20))),
        }
        if find_spec("numba") is not None:
            speeds["numba"] = written("numba")
        for write in speeds.values():
            write()  # compiles
        parts = interleaved(speeds, place.effort)
    bytes_ = place.shape.weight_bytes()
    size = Measured([default.stat().st_size / 1e6], [True])
    rows: list[Row] = [
        row("2 x 128, in the page", "characters/s", parts["page"], bar=">= 20000",
            limit=place.ceilings.cache / bytes_,
            counted=f"{bytes_ / 1e3:.0f} kB of weights a character, from the cache of one core"),
        row("the same, NumPy", "characters/s", parts["numpy"]),
        *([row("the same, compiled (numba)", "characters/s", parts["numba"])]
          if "numba" in parts else []),
        row(f"2 x {LARGE}, in the page", "characters/s", parts["large"]),
        row(f"2 x {DEFAULT}, from opening the page to its first text", "s", parts["first"],
            bar="<= 1"),
        row(f"2 x {DEFAULT}, the page", "MB", size, bar="<= 1.5"),
    ]  # fmt: skip
    return Part(rows, [], [f"In Chromium {browser.version}."])


@contextmanager
def _browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


def _page(path: Path, model: Any) -> Path:
    from charrnn.extras.page.packing import in_precision
    from charrnn.extras.page.writing_page import About, writing_page

    page = writing_page(in_precision(model.trained, 8), About("A page", [], ""))
    path.write_text(page, encoding="utf-8")
    return path


def _opened(browser: Any, path: Path) -> Any:
    page = browser.new_context().new_page()
    page.goto(path.as_uri())
    page.get_by_text("characters a second").wait_for()
    return page


def _first_text(browser: Any, path: Path) -> float:
    """Seconds."""

    def open_and_close() -> None:
        _opened(browser, path).context.close()

    return seconds(open_and_close)


def _untrained(place: Workplace, hidden_size: int) -> Any:
    """A model of the recipe's other sizes, as it is initialized."""
    from charrnn.model import Model
    from charrnn.models.trained import Architecture, TrainedModel
    from charrnn.network import Network, weights_of
    from charrnn.text.vocabulary import Vocabulary

    characters = list(dict.fromkeys(place.text.read_text(encoding="utf-8")))
    shape = place.shape
    architecture = Architecture(
        kind=shape.kind,
        embedding_size=shape.embedding_size,
        hidden_size=hidden_size,
        num_layers=shape.num_layers,
        vocabulary_size=len(characters),
    )
    weights = weights_of(Network(architecture))
    return Model(TrainedModel(architecture, Vocabulary(characters), weights))
