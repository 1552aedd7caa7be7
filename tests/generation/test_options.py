"""What a sampler can be asked."""

from __future__ import annotations

from dataclasses import fields

import pytest

from charrnn.errors import InputError
from charrnn.generation.options import GenerateOptions, Keywords
from charrnn.model import Model
from tests.generation.models import trained_model


def test_every_option_can_be_given_from_python() -> None:
    by_position = {"length", "start_text", "num_samples"}
    assert {
        f.name for f in fields(GenerateOptions)
    } == by_position | Keywords.__annotations__.keys()
    with pytest.raises(TypeError, match="temprature"):
        Model(trained_model()).generate(temprature=1)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"length": -1}, "length=-1: must be 0 or more"),
        ({"temperature": float("nan")}, "temperature=nan: must be 0 or more"),
        ({"seed": 2**63}, f"seed={2**63}: must be between"),
        ({"top_k": 0}, "top_k=0: must be 1 or more"),
        ({"top_p": 1.5}, "top_p=1.5: must be above 0"),
        ({"min_p": -0.1}, "min_p=-0.1: must be between 0 and 1"),
        ({"num_samples": 0}, "num_samples=0: must be 1 or more"),
        ({"until": ""}, "until=: must be a text"),
        ({"engine": "abacus"}, "engine=abacus: must be one of auto, numpy, numba, torch"),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_named(values: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as refused:
        GenerateOptions(**values)  # type: ignore[arg-type]
    assert str(refused.value).startswith(line)
