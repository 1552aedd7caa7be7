"""Every command and every YAML file that the pages for newcomers print, run as printed.

In the order of a page, in one folder, with a text, networks and a number of steps that are
tiny. What would take a network, minutes, or stay is composed and checked without being run.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.__main__ import main
from tests import REPOSITORY
from tests.conftest import Capture, Patch, write_files

MAKEFILE = (REPOSITORY / "Makefile").read_text()
PAGES = ("README.md", "docs/texts.md", "docs/options.md", "CONTRIBUTING.md")
# a fenced block with its language, or a command in the text
_PRINTED = re.compile(
    r"^( *)```(?P<language>\w*)\n(?P<block>.*?)^ *```|`(?P<inline>(?:charrnn|make) [^`]+)`",
    re.DOTALL | re.MULTILINE,
)

TINY = [
    *("model.hidden_size=8", "model.num_layers=1", "model.embedding_size=4"),
    *("data.batch_size=2", "data.seq_length=10"),
    *("threads=1", "trainer.precision=32-true", "trainer.max_steps=2"),
]
# options before those that are printed, which hold where both are given
SHORT = {"train": TINY, "sample": ["length=60"]}
# composed and checked, not run: the reason
COMPOSED = {
    "charrnn serve": "stays",
    "charrnn train logger=csv debug=fast": "trains on the default corpus, which is fetched",
    "charrnn train trainer.accumulate_grad_batches=4 +trainer.profiler=simple": "likewise",
    "charrnn train --config-dir mine experiment=lion": "likewise",
}
# names of commands and not command lines
NAMED = {"charrnn serve", "charrnn export", "charrnn sample", "charrnn preprocess"}
MODULES = {
    "my_models.py": """
import charrnn

class Mine(charrnn.LanguageModel):
    def __init__(self, *args, weight, **options):
        super().__init__(*args, **options)
""",
    "my_callbacks.py": """
import lightning

class Counts(lightning.Callback):
    def __init__(self, every):
        self.every = every
""",
    "my_optimizers.py": "from torch.optim import SGD as Lion",
}


def find_printed(page: str, language: str) -> Iterator[str]:
    """Yield the blocks in a language; of sh each command, also those within the text."""
    for match in _PRINTED.finditer((REPOSITORY / page).read_text("utf-8")):
        if match["language"] == language:
            block = re.sub(f"^{match[1]}", "", match["block"], flags=re.MULTILINE)
            # a line break within quotes is a part of the command
            command = r"""((?:"[^"]*"|'[^']*'|[^\n"'])+)\n"""
            yield from re.findall(command, block) if language == "sh" else [block]
        elif language == "sh" and match["inline"] and match["inline"] not in NAMED:
            yield match["inline"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Enter a folder with the files that the pages name, and those that they print."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    text = "".join(f"ROMEO: To be, or not to be, {n} times.\n" for n in range(40))
    names = ("my.txt", "anna.txt", "ben.txt", "corpus.txt", "prose/a.txt")
    write_files(tmp_path, {**dict.fromkeys(names, text), **MODULES})
    monkeypatch.syspath_prepend(tmp_path)
    for block in (block for page in PAGES for block in find_printed(page, "yaml")):
        if not block.startswith("# charrnn "):  # the options of a user's command
            named = re.match(r"(?:# @package .*\n)?# ([\w/]+\.yaml)\b", block)
            assert named, block
            write_files(tmp_path, {named[1]: block})
    return tmp_path


def run(capfd: Capture, words: list[str]) -> str:
    """Run a command in this process; what went wrong, "" for nothing."""
    code = main(words)
    out, err = capfd.readouterr()
    return "" if code == 0 else f"charrnn {shlex.join(words)}: {code}\n{err}{out}"


def small(words: list[str]) -> list[str]:
    """Return the words of a command line with options that keep it short."""
    if "--help" in words or "--cfg" in words or words[0] == "--help":
        return words
    if any(word.startswith("resume=") for word in words):
        # a resume keeps the network, and continues for some steps at most
        return [*words, "trainer.max_steps=4"]
    texts = [*itertools.takewhile(lambda word: word == "-m" or word.endswith(".txt"), words[1:])]
    return [words[0], *texts, *SHORT.get(words[0], []), *words[1 + len(texts) :]]  # first, as typed


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_run_as_printed(page: str, files: Path, capfd: Capture) -> None:
    pytest.importorskip("fastapi")
    failed, before = [], {*find_printed("README.md", "sh")} if page != "README.md" else {}
    for command in (c for c in find_printed(page, "sh") if c not in before):
        program, *words = shlex.split(command, comments=True)
        if program == "make":
            assert re.search(rf"^{words[0]}:", MAKEFILE, re.MULTILINE), words
            continue
        assert program == "charrnn", f"{page}: what is to be done with {command}?"
        if command in COMPOSED:
            failed.append(run(capfd, [*words, "--cfg", "job"]))
            continue
        words = [word.replace("=RUN", "=outputs/latest") for word in words]
        failed.append(run(capfd, small(words)))
    assert not any(failed), "\n".join(filter(None, failed))


def test_the_yaml_files_compose_as_printed(files: Path, capfd: Capture) -> None:
    found = sorted(files.glob("*/*/*.yaml"))
    assert len(found) == 6
    for path in found:
        given = ["--config-dir", str(path.parents[1]), f"{path.parent.name}={path.stem}"]
        assert run(capfd, ["train", *given, "--cfg", "job", "--resolve"]) == ""
