"""What may be asked for of a text, before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from charrnn import TextDataModule
from charrnn.errors import InputError
from charrnn.options.datasets import DataOptions


def refusal(check: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as refused:
        check()
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000
    return str(refused.value)


BAD_ENCODINGS = ["utf-9", "", "hex", "rot13", "zip", "undefined", "utf-8\0", "x" * 10_000, None, 8]
BAD_FRACTIONS = [-0.1, 1, float("nan"), float("inf"), "0.1"]
BAD_PATHS = ["", [], [""], ["a", 3], 5]


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        *(("encoding", value, "latin-1") for value in BAD_ENCODINGS),
        *(("val_frac", value, "must be at least 0 and below 1") for value in BAD_FRACTIONS),
        *(("test_frac", value, "must be at least 0 and below 1") for value in BAD_FRACTIONS),
        *(("input_txt", value, "") for value in BAD_PATHS),
        ("lines", "sort", "must be one of auto, keep, shuffle"),
        ("batch_size", 0, "must be 1 or more"),
        ("seq_length", -1, "must be 1 or more"),
    ],
)
def test_values_out_of_range(option: str, value: Any, line: str) -> None:
    refused = refusal(lambda: DataOptions(**{option: value}))
    assert refused.startswith(f"data.{option}=")
    assert line in refused


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"corpus": "other", "input_txt": "x.txt"},
            "data.corpus=other: data.input_txt already names a text",
        ),
        ({"input_h5": "x.h5"}, "data.input_h5 and data.input_json belong together"),
        ({"input_json": "x.json"}, "data.input_h5 and data.input_json belong together"),
        ({"input_h5": "x", "input_json": "x", "input_txt": "x"}, "not both"),
    ],
)
def test_sources_that_contradict(options: dict[str, Any], line: str) -> None:
    assert line in refusal(lambda: TextDataModule(**options))
