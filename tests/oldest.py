"""Run the fast tests with the oldest versions that pyproject.toml admits.

    python tests/oldest.py [arguments of pytest]

It makes an environment in .venv-oldest, with every package that pyproject.toml names at the
lower end of its range, and everything that those need as pip chooses it. It runs with the Python
that it is started with; the oldest is the one that CI takes for it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / ".venv-oldest"
LOWER_BOUND = re.compile(r'"([A-Za-z0-9_-]+)(?:\[[^]]*\])?>=([0-9][^",;\s]*)')


def lower_bounds() -> list[str]:
    """List every requirement at its lowest version, as lines of a constraints file."""
    found = LOWER_BOUND.findall((REPOSITORY / "pyproject.toml").read_text())
    # a package may be named twice, with an extra; what counts is the higher bound
    bounds = dict(sorted(found, key=lambda f: _numbers(f[1])))
    return [f"{name}=={version}" for name, version in sorted(bounds.items())]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def main() -> int:
    bounds = lower_bounds()
    print(*bounds, sep="\n", flush=True)
    python = str(ENVIRONMENT / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(bounds) + "\n")
        constraints.flush()
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        packages = ["--constraint", constraints.name, "--editable", f"{REPOSITORY}[dev]"]
        subprocess.run([*pip, *packages], check=True)
    arguments = sys.argv[1:] or ["-q", "-n", "2", "--dist", "worksteal"]
    return subprocess.run([python, "-m", "pytest", *arguments], cwd=REPOSITORY).returncode


if __name__ == "__main__":
    sys.exit(main())
