"""What a sampler can be asked, and that every engine does it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import yaml

from charrnn.cli import conf
from charrnn.errors import InputError, RunError
from charrnn.generation import filters
from charrnn.generation.sampler import Sampler
from charrnn.model import Model
from charrnn.options.sampling import SamplingParams
from tests.generation.definition import dry_penalties, probabilities
from tests.generation.models import params, trained_model

MODEL = Model(trained_model(conviction=3))
# what each field is given below, so that it changes the text; None: what is no matter of the draw
OTHER: dict[str, Any] = {
    "length": None,
    "start_text": "To be",
    "unknown": None,
    "prime": None,
    "num_samples": None,
    "engine": None,
    "precision": None,
    "seed": 2,
    "temperature": 0.3,
    "sample": False,
    "top_k": 3,
    "top_p": 0.5,
    "min_p": 0.3,
    "dry_multiplier": 5.0,
    "dry_base": 3.0,
    "dry_allowed_length": 1,
    "filters": {"typical_p": 0.4},
    "logit_bias": {"e": -4.0, "aou": 2},
    "ban": "aeiou",
    "until": "e",
}


def typical_p(probabilities: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Locally typical sampling (arXiv 2202.00666): those whose surprise is nearest to the mean."""
    surprise = -np.log(np.where(probabilities > 0, probabilities, 1))
    mean = (probabilities * surprise).sum(-1, keepdims=True)
    order = np.argsort(np.abs(surprise - mean), axis=-1, kind="stable")
    sums = np.take_along_axis(probabilities, order, -1).cumsum(-1)
    before = np.concatenate([np.zeros_like(sums[:, :1]), sums[:, :-1]], axis=1)
    stays = np.empty(probabilities.shape, bool)
    np.put_along_axis(stays, order, before < mass, -1)
    return stays & (probabilities > 0)


@pytest.fixture(autouse=True)
def _own() -> None:
    filters.register("typical_p", typical_p)


def test_an_option_that_there_is_not_is_named() -> None:
    with pytest.raises(TypeError, match="temprature"):
        MODEL.generate(temprature=1)


def test_the_command_line_has_the_same_defaults() -> None:
    page = conf.page("sample").options
    assert {f.name for f in fields(SamplingParams)} <= page.keys()
    for name, value in vars(SamplingParams()).items():
        assert yaml.safe_load(page[name].default) == value, name


@pytest.mark.parametrize("engine", ["numpy", "numba", "torch"])
@pytest.mark.parametrize("name", [f.name for f in fields(SamplingParams)])
def test_no_engine_ignores_what_is_asked_for(name: str, engine: str) -> None:
    """Every field changes the text, and gives in every engine what it does in NumPy's."""
    if OTHER[name] is None:  # a field that is added has to be looked at here
        return
    if engine == "numba":
        pytest.importorskip("numba", reason="the extra fast is not installed")
    asked = {"length": 150, "seed": 1, "temperature": 1.0, "engine": engine}
    if name.startswith("dry_"):
        off = name == "dry_multiplier"
        asked |= {"temperature": 0, "dry_allowed_length": 2, "dry_multiplier": 0 if off else 0.7}
    with_it = MODEL.generate(**{**asked, name: OTHER[name]})
    assert with_it != MODEL.generate(**asked)
    assert with_it == MODEL.generate(**{**asked, name: OTHER[name], "engine": "numpy"})


def test_a_fallback_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="the extra fast is not installed")
    filters.tell_fallback.cache_clear()
    for _ in range(2):
        MODEL.generate(20, seed=1, typical_p=0.4, engine="numba")
    line = "engine=numba: has no kernel for typical_p; NumPy writes instead\n"
    assert capsys.readouterr().err == line


def test_a_bias_is_added_to_the_logits() -> None:
    alone = MODEL.generate(200, seed=1, temperature=1, logit_bias={"e": -100, "☃": 5})
    assert alone == MODEL.generate(200, seed=1, temperature=1, ban="e")
    assert set(MODEL.generate(20, logit_bias={"t": 100})) == {"t"}
    with pytest.raises(InputError, match="logit_bias"):
        SamplingParams(logit_bias={"e": 101})


# DRY; what is written with it is held to the definition in test_conformance


@pytest.mark.parametrize("allowed", [1, 2, 5])
@pytest.mark.parametrize("text", ["", "a", "abcabcab", "aaaaaa", "to be or not to be or", "xyzxy"])
def test_dry_is_its_definition(text: str, allowed: int) -> None:
    params = SamplingParams(dry_multiplier=0.7, dry_base=1.5, dry_allowed_length=allowed)
    found = {chr(id_): penalty for id_, penalty in filters.dry(text, params).items()}
    assert found == pytest.approx(dry_penalties(text, 0.7, 1.5, allowed))


def test_dry_ends_a_loop() -> None:
    loop = MODEL.generate(400, temperature=0)
    assert loop[-60:] in loop[:-60]
    ended = MODEL.generate(400, temperature=0, dry_multiplier=2, dry_allowed_length=12)
    assert ended[-60:] not in ended[:-60]


# A filter of one's own


def test_a_filter_from_outside() -> None:
    drawn = MODEL.generate(1, "abc", num_samples=4000, seed=5, temperature=1, typical_p=0.6)
    each = probabilities(MODEL.logits("abc")[-1], params(), MODEL.vocabulary)
    p = np.array(each)
    order = np.argsort(-p, kind="stable")
    stays = np.zeros(len(p), bool)
    stays[order] = typical_p(p[order][None], np.array([[0.6]]))[0]
    expected = np.where(stays, p, 0) / p[stays].sum()
    counts = np.bincount(MODEL.vocabulary.encode("".join(drawn)), minlength=len(p))
    assert counts[~stays].sum() == 0
    assert np.abs(counts / 4000 - expected).max() < 0.04


def test_a_filter_from_an_entry_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a package that is installed; used on the command line."""
    from charrnn.__main__ import main

    (tmp_path / "ours.py").write_text(
        "def only_likeliest(probabilities, share):\n"
        "    return probabilities >= probabilities.max(-1, keepdims=True)\n"
    )
    info = tmp_path / "ours-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[charrnn.filters]\nonly_likeliest = ours:only_likeliest\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    MODEL.save(tmp_path / "m.safetensors")
    line = ["sample", f"checkpoint={tmp_path}/m.safetensors", "length=40", "seed=1"]
    assert main([*line, "+filters.only_likeliest=1"]) == 0
    text = capfd.readouterr().out
    assert text.startswith(MODEL.generate(40, temperature=0))
    for given, told in (
        ("+filters.typicalp=0.5", "filters.typicalp=0.5: there is no such filter"),
        ("+filters.typical_p=x", "filters={'typical_p': 'x'}: takes a number for each filter"),
        ("filters.typical_p=0.5", "filters.typical_p=0.5: is not set yet; write +filters"),
    ):
        assert main([*line, given]) == 2
        assert told in capfd.readouterr().err


def test_a_filter_that_cannot_be_used() -> None:
    filters.register("nothing", lambda p, value: p < 0)
    filters.register("shapeless", lambda p, value: True)
    for name, told in (("nothing", "left no character"), ("shapeless", "instead of a bool")):
        with pytest.raises(RunError, match=told):
            MODEL.generate(3, **{name: 1})
    with pytest.raises(ValueError, match="top_p"):
        filters.register("top_p", typical_p)
    with pytest.raises(InputError, match=r"filters\.novel=1: there is no such filter"):
        Sampler(MODEL.trained).write(replace(SamplingParams(), filters={"novel": 1}))
