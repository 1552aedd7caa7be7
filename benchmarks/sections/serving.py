"""`charrnn serve` under load: 64 clients that stream, beside the engine's own speed.

Without counts on both sides: what is measured is the server.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.measuring import Measured, interleaved, seconds
from benchmarks.results import Part, Row, row
from benchmarks.workplace import CHARRNN, Workplace

CLIENTS = 64
SHORTEST = 250  # characters of a completion; each client asks for 8 more than the one before
SECONDS = 60
PROMPT = "ROMEO:\n"


@dataclass
class Load:
    """What the clients saw.

    Attributes:
        whole: seconds of each completion.
        first: seconds until the first part of each was there.
        failed: requests that did not end as they should.
        memory: bytes of the server, after the first tenth of the time and at its end.
    """

    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    failed: int = 0
    characters: int = 0
    speed: float = 0.0  # characters a second
    memory: tuple[int, int] = (0, 0)


def measure(place: Workplace) -> Part:
    from charrnn.model import load

    path = place.trained / "model.safetensors"
    model = load(path)
    length = place.effort.size(2000, least=20)
    engine = min(("numpy", "numba"), key=lambda name: _time(model, name, length))

    def engines_own(precision: int) -> float:
        return CLIENTS * length / _time(model, engine, length, precision)

    loads: dict[int, list[Load]] = {32: [], 8: []}

    with (
        _server(path, place.folder, engine) as (process, port),
        _server(path, place.folder, engine, 8) as (of_whole, whole_port),
    ):
        at = {32: (port, process.pid), 8: (whole_port, of_whole.pid)}

        def served(precision: int) -> float:
            duration = max(0.5, SECONDS * place.effort.scale)
            load = asyncio.run(_load(at[precision][0], duration, at[precision][1]))
            loads[precision].append(load)
            return load.speed

        alone = asyncio.run(_alone(port))
        parts = interleaved(
            {
                "engine": lambda: engines_own(32),
                "server": lambda: served(32),
                "engine8": lambda: engines_own(8),
                "server8": lambda: served(8),
            },
            place.effort,
        )
    last = loads[32][-1]

    def of(value: float) -> Measured:
        return Measured([value], [True])

    own, whole = parts["engine"].median, parts["engine8"].median
    rows: list[Row] = [
        row(f"{CLIENTS} clients that stream {SHORTEST} to {_length(CLIENTS - 1)} characters",
            "characters/s", parts["server"], bar=f">= {0.6 * own:.0f}"),
        row("the same, `precision=8`", "characters/s", parts["server8"],
            bar=f">= {max(2 * parts['server'].median, 0.7 * whole):.0f}"),
        row("requests that failed", "", of(sum(load.failed for load in loads[32] + loads[8])),
            bar="<= 0"),
        row("the slowest tenth, beside the median", "x",
            of(_share(last.whole, 0.9) / _share(last.whole, 0.5)), bar="<= 2"),
        row("the first characters, one client", "s", of(alone), bar="<= 0.05"),
        row(f"the first characters, one of {CLIENTS} (the slowest tenth)", "s",
            of(_share(last.first, 0.9)), bar="<= 0.3"),
        row("memory at the end, beside the first tenth", "x",
            of(last.memory[1] / last.memory[0]), bar="<= 1.1"),
    ]  # fmt: skip
    return Part(rows)


def _time(model: object, engine: str, length: int, precision: int = 32) -> float:
    """Seconds of the engine for 64 texts; endless for one that is not there."""
    from charrnn.errors import InputError
    from charrnn.model import Model

    assert isinstance(model, Model)

    def write(length: int) -> None:
        how = {"seed": 1, "engine": engine, "precision": precision}
        model.generate(length, PROMPT, num_samples=CLIENTS, counts="none", **how)

    try:
        write(1)
    except InputError:
        return float("inf")
    return seconds(lambda: write(length))


@contextmanager
def _server(
    model: Path, folder: Path, engine: str, precision: int = 32
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    options = [f"checkpoint={model}", "port=0", f"engine={engine}", f"precision={precision}"]
    command = [*CHARRNN, "serve", *options, "counts=none"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said, found = "", None
            while found is None:
                line = process.stderr.readline()
                if not line:
                    raise RuntimeError(said)
                said += line
                found = re.search(r"serving .* at http://.*:(\d+)", line)
            yield process, int(found[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def _load(port: int, duration: float, pid: int) -> Load:
    load, began = Load(), time.perf_counter()

    async def client(number: int) -> None:
        while time.perf_counter() < began + duration:
            try:
                async with _Client(port, number) as one:
                    while time.perf_counter() < began + duration:
                        first, whole = await one.ask()
                        load.characters += _length(number)
                        load.first.append(first)
                        load.whole.append(whole)
            except (OSError, asyncio.IncompleteReadError):
                load.failed += 1

    async def watch() -> None:
        memory = psutil.Process(pid).memory_info
        await asyncio.sleep(duration / 10)
        early = memory().rss
        await asyncio.sleep(duration * 0.8)
        load.memory = (early, memory().rss)

    await asyncio.gather(watch(), *(client(number) for number in range(CLIENTS)))
    load.speed = load.characters / (time.perf_counter() - began)
    return load


async def _alone(port: int) -> float:
    """Seconds until the first part of a lone request is there: the median of some."""
    async with _Client(port, 0) as client:
        return _share([(await client.ask())[0] for _ in range(9)], 0.5)


class _Client:
    """One that keeps its connection, as the clients of such servers do.

    Args:
        number: which of them.
    """

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        body = json.dumps(
            {"prompt": PROMPT, "max_tokens": _length(number), "stream": True, "user": str(number)}
        ).encode()
        head = (
            f"POST /v1/completions HTTP/1.1\r\nhost: localhost:{port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    async def __aenter__(self) -> _Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self) -> tuple[float, float]:
        """Stream a completion; seconds until its first part and until its end."""
        began = time.perf_counter()
        self._writer.write(self._request)
        await self._reader.readuntil(b"data: ")
        first = time.perf_counter() - began
        await self._reader.readuntil(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        return first, time.perf_counter() - began


def _length(number: int) -> int:
    """Characters that a client asks for."""
    return SHORTEST + 8 * number


def _share(values: list[float], share: float) -> float:
    """The value that so much of all are below."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
