"""Which engine writes, and what an engine cannot step."""

from __future__ import annotations

import numpy as np
import pytest

from charrnn import plugins
from charrnn.errors import InputError
from charrnn.generation import engines, numpy_engine
from charrnn.generation.engines import fastest
from charrnn.model import Model
from tests.generation.models import trained_model


def test_without_a_kernel_torch_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained_model("lstm", batchnorm=True)
    text = Model(model).generate(100, "Hm", seed=1, engine="numpy")
    logits = Model(model).logits("Hm")
    monkeypatch.delitem(numpy_engine.CELLS, "lstm")
    without = Model(model)
    assert without.generate(100, "Hm", seed=1) == text
    assert len(without.generate(60_000, seed=1, until=text[20:40])) > 0
    assert np.abs(without.logits("Hm") - logits).max() < 2e-5
    assert without.logits("").shape == (0, 65)
    for asked in ({"engine": "numpy"}, {"engine": "numba"}, {"precision": 8}):
        with pytest.raises(InputError, match=r"=(numpy|numba|8): .* lstm; "):
            without.generate(**asked)


def test_without_the_extra_fast_what_it_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "parts", lambda ending: [])
    model = Model(trained_model())
    for asked in ({"engine": "numba"}, {"precision": 8}):
        with pytest.raises(InputError, match=r"=(numba|8): needs the extra fast"):
            model.generate(**asked)
    assert fastest(200_000, 1, 100_000) == "numpy"


def test_the_fastest_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_can_compile", lambda: True)
    small, medium, large = 200_000, 3_000_000, 20_000_000  # 2 x 128, 2 x 512, 3 x 1024
    assert fastest(small, 1, 2000) == "numpy"  # a short one does not wait for numba
    assert fastest(small, 1, 100_000) == "numba"
    assert fastest(small, 64, 2000) == "numba"
    assert fastest(medium, 1, 100_000) == "numpy"
    assert fastest(medium, 8, 100_000) == "numba"
    assert fastest(large, 64, 100_000) == "numpy"
    monkeypatch.setattr(engines, "_can_compile", lambda: False)
    assert fastest(small, 1, 100_000) == "numpy"
