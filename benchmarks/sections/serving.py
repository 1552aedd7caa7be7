"""Measure `charrnn serve` with 64 streaming clients, and compare it with the engine's speed.

Both write without counts, because this section measures the server.
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
from statistics import median

from benchmarks.measuring import measure_in_turns, time_call
from benchmarks.report import Row, make_row
from benchmarks.workplace import CHARRNN, Workplace
from charrnn.model import Model, load

CLIENTS = 64
SHORTEST = 250  # characters of a completion; each client asks for 8 more than the one before
SECONDS = 30
PROMPT = "ROMEO:\n"


@dataclass
class Load:
    """The measurements of the clients.

    Attributes:
        totals: the seconds of each completion.
        first: the seconds until the first part of each completion.
        speed: characters per second of all clients.
    """

    totals: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    characters: int = 0
    speed: float = 0.0


def measure(workplace: Workplace) -> list[Row]:
    path = workplace.trained / "model.safetensors"
    with _run_server(path, workplace.folder) as port:
        return _measure_rows(workplace, load(path), port)


def _measure_rows(workplace: Workplace, model: Model, port: int) -> list[Row]:
    length = workplace.effort.size(2000, least=20)
    loads: list[Load] = []

    def write() -> None:
        model.generate(length, PROMPT, num_samples=CLIENTS, seed=1, counts="none")

    def serve() -> float:
        loads.append(asyncio.run(_run_load(port, max(0.5, SECONDS * workplace.effort.scale))))
        return loads[-1].speed

    write()  # Make the sampler first.
    single = asyncio.run(_measure_single_client(port))
    engines = {"engine": lambda: CLIENTS * length / time_call(write), "server": serve}
    parts = measure_in_turns(engines, workplace.effort)
    last = loads[-1]
    return [
        make_row(f"{CLIENTS} clients that stream {SHORTEST} to {_get_length(CLIENTS - 1)} "
            "characters", "characters/s", parts["server"],
            bar=f">= {0.6 * median(parts['engine']):.0f}"),
        Row("the slowest tenth, beside the median",
            _get_quantile(last.totals, 0.9) / median(last.totals), "x", "<= 2"),
        Row("the first characters, one client", single, "s", "<= 0.05"),
        Row(f"the first characters, one of {CLIENTS} (the slowest tenth)",
               _get_quantile(last.first, 0.9), "s", "<= 0.3"),
    ]  # fmt: skip


@contextmanager
def _run_server(model: Path, folder: Path) -> Iterator[int]:
    options = [f"checkpoint={model}", "port=0"]
    command = [*CHARRNN, "serve", *options, "counts=none"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            output, match = "", None
            while match is None:
                line = process.stderr.readline()
                if not line:
                    raise RuntimeError(output)
                output += line
                match = re.search(r"serving .* at http://.*:(\d+)", line)
            yield int(match[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def _run_load(port: int, duration: float) -> Load:
    load, start_time = Load(), time.perf_counter()

    async def client(number: int) -> None:
        async with _Client(port, number) as session:
            while time.perf_counter() < start_time + duration:
                first, total = await session.ask()
                load.characters += _get_length(number)
                load.first.append(first)
                load.totals.append(total)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    load.speed = load.characters / (time.perf_counter() - start_time)
    return load


async def _measure_single_client(port: int) -> float:
    """Return the median seconds until the first part of a single request."""
    async with _Client(port, 0) as client:
        return median([(await client.ask())[0] for _ in range(9)])


class _Client:
    """A client that keeps its connection open, as OpenAI's client does."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        length, user = _get_length(number), str(number)
        body = json.dumps(
            {"prompt": PROMPT, "max_tokens": length, "stream": True, "user": user}
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
        """Stream a completion, and return the seconds until its first part and its end."""
        start_time = time.perf_counter()
        self._writer.write(self._request)
        await self._reader.readuntil(b"data: ")
        first = time.perf_counter() - start_time
        await self._reader.readuntil(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        return first, time.perf_counter() - start_time


def _get_length(number: int) -> int:
    """Return the number of characters that a client requests."""
    return SHORTEST + 8 * number


def _get_quantile(values: list[float], share: float) -> float:
    """Return the quantile `share` of the values."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
