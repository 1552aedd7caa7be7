"""``charrnn completion SHELL``: completion of commands, groups, choices and options.

The script that is printed asks ``charrnn completion candidates LINE`` at each press of the
tab key, so nothing is imported here that takes time.
"""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from charrnn import plugins
from charrnn.cli import conf
from charrnn.errors import InputError
from charrnn.options.ranges import ONE_OF

_BASH = r"""
# charrnn for bash: put into ~/.bashrc   eval "$(charrnn completion bash)"
_charrnn() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n'
    local word="${line##*[[:space:]]}"
    COMPREPLY=($("$1" completion candidates "$line" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -gt 0 && "${COMPREPLY[0]}" == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
    # bash completes what stands behind the last equals sign only
    if [[ "$word" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")
    fi
}
complete -o default -F _charrnn charrnn
"""

_ZSH = r"""
# charrnn for zsh: put into ~/.zshrc, behind compinit   eval "$(charrnn completion zsh)"
_charrnn() {
    local -a found
    found=("${(@f)$(${words[1]} completion candidates "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then
        compadd -S '' -- $found
    else
        compset -P '*='
        _files
    fi
}
compdef _charrnn charrnn
"""

_FISH = r"""
# charrnn for fish: put into ~/.config/fish/config.fish   charrnn completion fish | source
complete -c charrnn -a '(charrnn completion candidates (commandline -cp | string collect))'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

# of Hydra's launchers: the package -> what hydra/launcher may be with it
LAUNCHERS = {
    "": ("basic",),
    "hydra_joblib_launcher": ("joblib",),
    "hydra_submitit_launcher": ("submitit_local", "submitit_slurm"),
}
_FLAGS = (
    *("--help", "--multirun", "--cfg", "--package", "--resolve", "--config-dir"),
    *("--config-name", "--config-path", "--info", "--hydra-help"),
)
_AFTER = {"--cfg": ("job", "hydra", "all"), "-c": ("job", "hydra", "all")}


def answer(words: list[str]) -> str:
    """What is printed for the words that follow ``charrnn completion``."""
    if len(words) == 2 and words[0] == "candidates":
        return "\n".join(candidates(words[1]))
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise InputError(f"completion takes the name of a shell: {', '.join(SCRIPTS)}")
    return SCRIPTS[words[0]].strip()


def candidates(line: str) -> list[str]:
    """The words that can stand where the line ends, whole."""
    *before, word = line.split(" ")[1:] or [""]
    before = [earlier for earlier in before if earlier]
    if not before:
        found = [*plugins.commands(), "completion", "--help", "--version"]
    elif before[0] == "completion":
        found = list(SCRIPTS) if len(before) == 1 else []
    elif plugins.command(before[0]) is None:
        found = []
    elif before[-1] in _AFTER:
        found = list(_AFTER[before[-1]])
    elif word.startswith("-"):
        found = list(_FLAGS)
    else:
        found = _overrides(before, word)
    return [candidate for candidate in found if candidate.startswith(word)]


def _overrides(before: list[str], word: str) -> list[str]:
    page = conf.page(before[0])
    sign = word[: len(word) - len(word.lstrip("+~"))]
    name, equals, value = word[len(sign) :].partition("=")
    if not equals:
        return [f"{sign}{known}=" for known in (*page.names(), "hydra/launcher")]
    if name in page.groups:
        choices = [*page.groups[name], *_own_choices(before, name)]
    else:
        options = {n: o for further in page.further.values() for n, o in further.items()}
        default = {**options, **page.options}.get(name, conf.Option("", "")).default
        choices = ["true", "false"] if default in ("true", "false") else _named(before[0], name)
    several = value[: value.rfind(",") + 1]  # of a sweep
    return [f"{sign}{name}={several}{choice}" for choice in choices]


def _named(command: str, option: str) -> list[str]:
    """What an option that takes one of some names may be."""
    if option == "hydra/launcher":
        installed = [n for n in LAUNCHERS if n and find_spec(f"hydra_plugins.{n}") is not None]
        return [choice for name in ("", *installed) for choice in LAUNCHERS[name]]
    from charrnn.cli.checked_options import declared, ranges_of

    demands = [r.demand for r in ranges_of(dict(declared(command)).get(option))]
    named = [d.removeprefix(ONE_OF).split(", ") for d in demands if d.startswith(ONE_OF)]
    return named[0] if named else []


def _own_choices(before: list[str], group: str) -> list[str]:
    """Those in the --config-dir that the line names."""
    folders = [word.partition("=")[2] for word in before if word.startswith("--config-dir=")]
    for flag, folder in pairwise(before):
        if flag in ("--config-dir", "-cd"):
            folders.append(folder)
    paths = [path for folder in folders for path in Path(folder, group).glob("*.yaml")]
    return sorted(path.stem for path in paths)
