"""The ONNX file, stepped by onnxruntime, beside the engines."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.extras.export.onnx_step import OPERATORS, onnx_step
from charrnn.generation.numpy_engine import NumpyEngine
from charrnn.generation.state import beginning
from charrnn.generation.weights import fold
from charrnn.models.trained import TrainedModel
from charrnn.text.vocabulary import Vocabulary
from tests.generation.models import trained_model

STACKS: list[dict[str, Any]] = [
    {"num_layers": 1},
    {"batchnorm": True},
    {"num_layers": 3, "layernorm": True, "skip": "residual"},
    {"num_layers": 3, "batchnorm": True, "skip": "sum"},
]


def session(model: TrainedModel) -> Any:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    content = onnx_step(model, [("Network", "small")])
    return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", OPERATORS)
def test_it_steps_as_numpy_does(kind: str) -> None:
    for stack in STACKS:
        model = trained_model(kind, **stack)
        step = session(model)
        for streams in (1, 3):
            ids = np.random.default_rng(streams).integers(0, 65, (streams, 6))
            expected, _ = NumpyEngine(fold(model)).read(ids, beginning(model, streams))
            state = np.zeros((streams, step.get_inputs()[1].shape[1]), np.float32)
            for t in range(6):
                logits, state = step.run(["logits", "next"], {"id": ids[:, t], "state": state})
                assert logits == pytest.approx(expected[:, t], abs=1e-4), stack


def test_what_the_metadata_tells() -> None:
    model = replace(trained_model(), facts={"primer": "To be,\n", "input_h5": "/home/ann/x.h5"})
    told = session(model).get_modelmeta().custom_metadata_map
    values = {name: json.loads(value) for name, value in told.items()}
    assert values["vocabulary"] == model.vocabulary.characters
    assert values["bytes"] is False
    assert values["primer"] == model.vocabulary.encode("To be,\n").tolist()
    assert values["card"] == {"Network": "small"}
    assert values["architecture"]["hidden_size"] == 24
    assert "ann" not in json.dumps(values)


def test_bytes_are_told_as_numbers() -> None:
    tokens = [bytes([b]).decode("ascii", "surrogateescape") for b in range(255, -1, -1)]
    model = trained_model(vocabulary=Vocabulary(tokens, is_bytes=True))
    told = session(model).get_modelmeta().custom_metadata_map
    assert json.loads(told["vocabulary"]) == list(range(255, -1, -1))
    assert json.loads(told["bytes"]) is True


def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install .*\[onnx\]'"):
        onnx_step(trained_model(), [])
