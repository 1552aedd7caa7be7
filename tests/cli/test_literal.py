"""Texts and paths arrive character for character."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from charrnn import plugins
from charrnn.cli.checked_options import options_with
from charrnn.cli.command_line import quote_texts, quoted, text_options
from charrnn.options.ranges import FIXED, PATH

NASTY = [
    "",
    " ",
    "What's",
    'She said "no"',
    "Zür",
    "(hi)",
    "O Romeo, Romeo",
    "a=b",
    "123",
    "1e3",
    "true",
    "nan",
    "???",
    "[brackets",
    "[Enter Romeo]",
    "{a: 1}",
    "two\nlines\r\n",
    "\ttab ",
    "  spaces  ",
    "wow!",
    "$HOME ${HOME} ${oc.env:HOME} $${x}",
    r"\${x} \\${x} \ \\",
    "back\\",
    "back\\\\",
    r"\'",
    "~x +y @z #w %v",
    "é",
    "e\u0301",
    "漢字",
    "🎭",
    "\u2028",
    "\udcff\udc80",
    "a','b",
    "'",
    '"',
    "--help",
    "choice('a','b')",
    "null",
    "-",
]

pieces = st.sampled_from([*"\\${}'\"[](),:=a \n?", "${", "\\'", "é", "\udcff"])
texts = st.one_of(
    st.lists(pieces).map("".join),
    st.text(st.characters(codec=None, exclude_characters="\0")),
    st.sampled_from(NASTY),
)


def read_back(override: str) -> Any:
    """What Hydra, and then OmegaConf, make of an override's value."""
    parsed = OverridesParser.create().parse_override(override)
    assert not parsed.is_sweep_override()
    config = OmegaConf.create({"value": parsed.value()})
    assert OmegaConf.to_container(config, resolve=True) == {"value": config.value}
    return config.value


@settings(deadline=None, max_examples=120)
@given(texts)
@example("???")
def test_quoted_is_read_back_unchanged(text: str) -> None:
    assert read_back(f"start_text={quoted(text)}") == text


@settings(deadline=None, max_examples=60)
@given(texts)
def test_quoted_survives_the_way_into_a_sweeps_job(text: str) -> None:
    parsed = OverridesParser.create().parse_override(f"start_text={quoted(text)}")
    assert read_back(f"start_text={parsed.get_value_element_as_str()}") == text


def thirds(texts: list[str]) -> list[tuple[str, str, str]]:
    assert len(texts) % 3 == 0
    return list(zip(texts[::3], texts[1::3], texts[2::3], strict=True))


@pytest.mark.parametrize("multirun", [False, True])
def test_texts_and_paths_reach_the_command(door: Any, multirun: bool) -> None:
    for start_text, checkpoint, output in thirds(NASTY)[:: 6 if multirun else 1]:
        words = [f"start_text={start_text}", f"checkpoint={checkpoint}", f"output=./{output}"]
        answer = door("sample", *words, *(["-m"] if multirun else []))
        assert answer.code == 0, (words, answer)
        options = door.asked.pop()
        assert (options.start_text, options.checkpoint, options.output) == (
            start_text,
            None if checkpoint == "null" else checkpoint,  # which is the default
            f"./{output}",
        )


def test_nested_paths_and_paths_that_may_be_lists_reach_the_command(door: Any) -> None:
    for first, second, third in thirds(
        [t for t in NASTY if t not in ("", "null", "[Enter Romeo]")]
    )[::2]:
        assert door("evaluate", f"data.input_h5={first}", f"data.input_json={second}").code == 0
        data = door.asked.pop().data
        assert (data.input_h5, data.input_json) == (first, second)
        assert door("preprocess", f"input_txt={third}", f"output_h5={second}").code == 0
        options = door.asked.pop()
        assert (options.input_txt, options.output_h5) == (third, second)


def test_names_that_are_no_unicode(door: Any) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    assert door("preprocess", f"input_txt={name}").code == 0
    assert os.fsencode(door.asked[0].input_txt) == b"caf\xe9.txt"
    assert name.encode("unicode_escape").decode() in door("sample", f"x={name}").err


@pytest.mark.parametrize(
    "word",
    ["start_text='What\\'s'", 'until="${oc.env:HOME}"', "until=null", "checkpoint=null", "length=3",
     "checkpoint=[a,'b c']", "~until", "+note=Zür"],
)  # fmt: skip
def test_what_is_left_to_hydra(word: str) -> None:
    assert quote_texts([word], "sample", multirun=False) == [word]


@pytest.mark.parametrize("text", ["null", "[a,b]", "'What's'", "'a' b", "'a\\'", "'a','b'"])
def test_what_only_looks_like_hydras(text: str) -> None:
    assert read_back(quote_texts([f"start_text={text}"], "sample", multirun=False)[0]) == text


def test_texts_are_swept_over_in_quotes_only() -> None:
    for value in ("'a','b'", "\"it's\" , 'b'"):
        assert quote_texts([f"until={value}"], "sample", multirun=True) == [f"until={value}"]
        assert quote_texts([f"until={value}"], "sample", multirun=False) != [f"until={value}"]
    assert read_back(quote_texts(["checkpoint=a,b"], "sample", multirun=True)[0]) == "a,b"


def test_adding_and_forcing_keep_their_signs() -> None:
    words = ["++until=a b", "+until=(x)"]
    assert quote_texts(words, "sample", False) == ["++until='a b'", "+until='(x)'"]


def test_the_names_follow_from_the_declarations() -> None:
    found = {command: text_options(command) for command in plugins.commands()}
    assert found["sample"].keys() >= {"checkpoint", "start_text", "until", "ban", "hydra.run.dir"}
    assert type(None) in found["sample"]["until"]
    assert type(None) not in found["sample"]["start_text"]
    assert [n for n, kinds in found["preprocess"].items() if list[str] in kinds] == ["input_txt"]
    assert options_with("convert", PATH) == {"input", "output"}
    assert "model.hidden_size" in options_with("train", FIXED)
    assert "model.dropout" not in options_with("train", FIXED)
