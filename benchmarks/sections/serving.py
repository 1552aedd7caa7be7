"""Measure the completions of `charrnn serve` for clients that ask at the same time."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from benchmarks.inputs import Inputs
from benchmarks.measuring import CHARRNN, measure_in_turns
from benchmarks.tables import Row, format_rows

CLIENTS = (1, 8, 16)
LENGTH = 200  # characters of a completion
SECONDS = 10  # of a measurement
REQUEST = json.dumps({"prompt": "ROMEO:\n", "max_tokens": LENGTH, "stream": True})


class Answer(NamedTuple):
    """The seconds of a streamed completion until its first part, and until its end."""

    first: float
    total: float


def measure(inputs: Inputs) -> str:
    """Return the table of the server, by the number of clients."""
    duration = max(0.5, SECONDS * inputs.scale)
    answers: dict[int, list[Answer]] = {clients: [] for clients in CLIENTS}

    def measure_speed(port: int, clients: int) -> float:
        start_time = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            asked = [pool.submit(ask, port, start_time + duration) for _ in range(clients)]
        received = [answer for each in asked for answer in each.result()]
        answers[clients] += received
        return LENGTH * len(received) / (time.perf_counter() - start_time)

    names = {n: "one client" if n == 1 else f"{n} clients" for n in CLIENTS}
    with start_server(inputs) as port:
        parts = {names[clients]: partial(measure_speed, port, clients) for clients in CLIENTS}
        speeds = measure_in_turns(parts, inputs.rounds)
    rows = []
    for clients, name in names.items():
        first, total = map(find_slow, zip(*answers[clients], strict=True))
        rows += [
            Row(f"{name}, completions of {LENGTH} characters", speeds[name], "characters/s"),
            Row(f"{name}, until the first characters (the slowest tenth)", first, "s"),
            Row(f"{name}, until the last character (the slowest tenth)", total, "s"),
        ]
    return format_rows(rows)


@contextmanager
def start_server(inputs: Inputs) -> Iterator[int]:
    """Serve the model at a free port during the `with` block, and return the port."""
    command = [*CHARRNN, "serve", f"checkpoint={inputs.model}", "port=0"]
    with subprocess.Popen(command, cwd=inputs.folder, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            lines = []
            for line in server.stderr:
                lines.append(line)
                if match := re.search(r"serving .* at http://.*:(\d+)", line):
                    break
            else:
                raise RuntimeError("".join(lines))
            yield int(match[1])
        finally:
            server.send_signal(signal.SIGTERM)


def ask(port: int, end_time: float) -> list[Answer]:
    """Stream completions over one connection, as OpenAI's client does, until a time."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    answers: list[Answer] = []
    while not answers or time.perf_counter() < end_time:
        start_time = time.perf_counter()
        connection.request("POST", "/v1/completions", REQUEST, {"content-type": "application/json"})
        response = connection.getresponse()
        response.readline()
        first = time.perf_counter() - start_time
        if not response.read().endswith(b"data: [DONE]\n\n"):
            raise RuntimeError(f"a completion has ended early, with status {response.status}")
        answers.append(Answer(first, time.perf_counter() - start_time))
    connection.close()
    return answers


def find_slow(values: Iterable[float]) -> float:
    """Return the value that a tenth of the values exceed."""
    ordered = sorted(values)
    return ordered[int(0.9 * len(ordered))]
