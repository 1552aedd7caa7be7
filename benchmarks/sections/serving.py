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
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.measuring import interleaved, seconds
from benchmarks.report import Row, row
from benchmarks.workplace import CHARRNN, Workplace
from charrnn.model import Model, load

CLIENTS = 64
SHORTEST = 250  # characters of a completion; each client asks for 8 more than the one before
SECONDS = 30
PROMPT = "ROMEO:\n"


@dataclass
class Load:
    """What the clients saw.

    Attributes:
        whole: seconds of each completion.
        first: seconds until the first part of each was there.
        speed: characters a second.
    """

    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    characters: int = 0
    speed: float = 0.0


def measure(place: Workplace) -> list[Row]:
    path = place.trained / "model.safetensors"
    precisions = (32, 8) if find_spec("numba") else (32,)
    rows = []
    for precision in precisions:
        with _server(path, place.folder, precision) as port:
            rows += _rows(place, load(path), precision, port)
    return rows


def _rows(place: Workplace, model: Model, precision: int, port: int) -> list[Row]:
    length = place.effort.size(2000, least=20)
    loads: list[Load] = []

    def write() -> None:
        model.generate(
            length, PROMPT, num_samples=CLIENTS, seed=1, precision=precision, counts="none"
        )

    def serve() -> float:
        loads.append(asyncio.run(_load(port, max(0.5, SECONDS * place.effort.scale))))
        return loads[-1].speed

    write()  # compiles, or loads what is compiled
    alone = asyncio.run(_alone(port))
    engines = {"engine": lambda: CLIENTS * length / seconds(write), "server": serve}
    parts = interleaved(engines, place.effort)
    last, of = loads[-1], f"`precision={precision}`"
    share = 0.6 if precision == 32 else 0.7
    return [
        row(f"{CLIENTS} clients that stream {SHORTEST} to {_length(CLIENTS - 1)} characters, {of}",
            "characters/s", parts["server"], bar=f">= {share * median(parts['engine']):.0f}"),
        Row(f"the slowest tenth, beside the median, {of}",
            _share(last.whole, 0.9) / median(last.whole), "x", "<= 2"),
        Row(f"the first characters, one client, {of}", alone, "s", "<= 0.05"),
        Row(f"the first characters, one of {CLIENTS} (the slowest tenth), {of}",
               _share(last.first, 0.9), "s", "<= 0.3"),
    ]  # fmt: skip


@contextmanager
def _server(model: Path, folder: Path, precision: int) -> Iterator[int]:
    options = [f"checkpoint={model}", "port=0", f"precision={precision}"]
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
            yield int(found[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def _load(port: int, duration: float) -> Load:
    load, began = Load(), time.perf_counter()

    async def client(number: int) -> None:
        async with _Client(port, number) as one:
            while time.perf_counter() < began + duration:
                first, whole = await one.ask()
                load.characters += _length(number)
                load.first.append(first)
                load.whole.append(whole)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    load.speed = load.characters / (time.perf_counter() - began)
    return load


async def _alone(port: int) -> float:
    """Seconds until the first part of a lone request is there: the median of some."""
    async with _Client(port, 0) as client:
        return median([(await client.ask())[0] for _ in range(9)])


class _Client:
    """One that keeps its connection, as the clients of such servers do."""

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
