"""Texts and paths arrive character for character."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from charrnn.cli.overrides import quote
from tests.cli.door import select
from tests.conftest import Patch

NASTY = [
    "", " ", "What's", 'She said "no"', "Zür", "(hi)", "O Romeo, Romeo", "a=b", "123", "1e3",
    "true", "nan", "???", "[brackets", "[Enter Romeo]", "{a: 1}", "two\nlines\r\n", "\ttab ",
    "  spaces  ", "wow!", "$HOME ${HOME} ${oc.env:HOME} $${x}", r"\${x} \\${x} \ \\", "back\\",
    "back\\\\", r"\'", "~x +y @z #w %v", "é", "e\u0301", "漢字", "🎭", "\u2028", "\udcff\udc80",
    "a','b", "'", '"', "--help", "choice('a','b')", "null", "-",
]  # fmt: skip

pieces = st.sampled_from([*"\\${}'\"[](),:=a \n?", "${", "\\'", "é", "\udcff"])
anything = st.text(st.characters(codec=None, exclude_characters="\0"))
texts = st.lists(pieces).map("".join) | anything | st.sampled_from(NASTY)


def read_back(word: str) -> Any:
    """Return what Hydra, and then OmegaConf, make of an override's value."""
    parsed = OverridesParser.create().parse_override(word)
    assert not parsed.is_sweep_override()
    config = OmegaConf.create({"value": parsed.value()})
    assert OmegaConf.to_container(config, resolve=True) == {"value": config.value}
    return config.value


@settings(deadline=None, max_examples=120)
@given(texts)
@example("???")
def test_a_text_is_read_back_unchanged(text: str) -> None:
    word = f"start_text={quote(text)}"
    assert read_back(word) == text
    # on its way into a sweep's job, too
    parsed = OverridesParser.create().parse_override(word)
    assert read_back(f"start_text={parsed.get_value_element_as_str()}") == text


@pytest.mark.parametrize("flags", [(), ("-m",)])
def test_texts_and_paths_reach_the_command(door: Any, flags: tuple[str, ...]) -> None:
    for start_text, checkpoint, output in (NASTY[:3], NASTY[18:21], NASTY[30:33]):
        words = [f"start_text={start_text}", f"checkpoint={checkpoint}", f"output=./{output}"]
        answer = door("sample", *words, *flags)
        assert answer.code == 0, (words, answer)
        options = door.asked.pop()
        assert (options.start_text, options.checkpoint) == (start_text, checkpoint)
        assert options.output == f"./{output}"


def test_names_that_are_no_unicode(door: Any) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    assert door("preprocess", f"input_txt={name}").code == 0
    assert os.fsencode(door.asked[0].input_txt) == b"caf\xe9.txt"
    assert name.encode("unicode_escape").decode() in door("sample", f"x={name}").err


# the words -> the value of the option of the last
VALUES = {
    # in Hydra's grammar
    r"sample start_text='What\'s'": "What's",
    "sample until='${oc.env:LR}'": "0.25",
    r"sample until='\${x}'": "${x}",
    "sample checkpoint=null": None,
    "preprocess input_txt=[a,'b c']": ["a", "b c"],
    # which only looks like that
    "sample start_text=[a,b]": "[a,b]",
    r"sample start_text='a\'": r"'a\'",
    "sample start_text='a','b'": "'a','b'",
    # below a group
    "train data.input_txt=What's (this), ${x}=?": "What's (this), ${x}=?",
}


@pytest.mark.parametrize("line", VALUES)
def test_quotes_and_lists_are_in_hydras_grammar(line: str, door: Any, monkeypatch: Patch) -> None:
    monkeypatch.setenv("LR", "0.25")
    Path("What's (this), ${x}=?").touch()
    command, _, word = line.partition(" ")
    assert door(command, word).code == 0
    assert select(door.asked[0], word.partition("=")[0]) == VALUES[line]
