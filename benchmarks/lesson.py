"""Play a lesson (docs/lesson.md): `python -m benchmarks.lesson TEXT... [--clients 20] [--browser]`.

All clients send a text at the same moment, over the address of this machine in its network. They
are programs or, with `--browser`, pages in Chromium on the same machine. When half of them have a
network, the server is killed (SIGKILL) and started again. When all have one, the trainings are
stopped, and completions are timed alone, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import describe_machine
from benchmarks.recipes import format_markdown
from benchmarks.workplace import CHARRNN
from charrnn.extras.serve.addresses import find_network_address

LENGTH = 200  # characters of a completion


@dataclass
class Pupil:
    """A client, its text, and its training."""

    name: str
    text: str
    http: httpx.Client
    first_text: float = 0.0  # seconds until the page writes, or until the server has the text
    first_network: float | None = None  # seconds
    training: dict[str, Any] = field(default_factory=dict)  # as last seen

    @property
    def path(self) -> str:
        return f"/v1/trainings/{self.training['id']}"


class Server:
    """`charrnn serve` for a class, and the peak of its memory and of a training's, in MB."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://{find_network_address()}:{port}"
        self.peaks = {"server": 0.0, "training": 0.0}
        self._folder, self._words = folder, ["host=0.0.0.0", f"port={port}", "learn=true"]
        self.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        with open(self._folder / "log.txt", "ab") as log:
            command = [*CHARRNN, "serve", *self._words]
            self.process = subprocess.Popen(command, cwd=self._folder, stderr=log)
        while self.process.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(f"{self.url}/health", timeout=60).raise_for_status()
                return
            time.sleep(0.1)
        raise SystemExit((self._folder / "log.txt").read_text())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _watch(self) -> None:
        while True:
            with suppress(OSError, StopIteration):
                process = Path(f"/proc/{self.process.pid}")
                self._note("server", process)
                for path in process.glob("task/*/children"):
                    for child in path.read_text().split():
                        self._note("training", Path(f"/proc/{child}"))
            time.sleep(0.5)

    def _note(self, name: str, process: Path) -> None:
        lines = (process / "status").read_text().splitlines()
        size = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000
        self.peaks[name] = max(self.peaks[name], size)


def make_texts(files: Sequence[Path], sizes: Sequence[int], number: int) -> list[str]:
    """Return texts of sizes from the first to the second, from different places in the files."""
    texts, chooser = [], random.Random(1)
    for index in range(number):
        source = files[index % len(files)].read_text("utf-8")
        size = sizes[0] + (sizes[1] - sizes[0]) * index // max(1, number - 1)
        source *= -(-size // len(source))  # a short file is repeated
        start = chooser.randrange(len(source) - size + 1)
        texts.append(source[start : start + size])
    return texts


def send_text(pupil: Pupil) -> None:
    start, body = time.monotonic(), pupil.text.encode()
    answer = pupil.http.post("/v1/trainings", params={"name": pupil.name}, content=body)
    pupil.training = answer.raise_for_status().json()
    pupil.first_text = time.monotonic() - start


async def play_in_browsers(server: Server, pupils: Sequence[Pupil]) -> tuple[list[float], str]:
    """Choose all texts at once in browsers, each of which then writes, and stays open meanwhile."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        pages = [await (await browser.new_context()).new_page() for _ in pupils]
        for page in pages:
            page.set_default_timeout(120_000)
            await page.goto(server.url)
            await page.locator("#learn-file").wait_for(state="attached")

        async def drop(pupil: Pupil, page: Any) -> None:
            start, name = time.monotonic(), f"{pupil.name}.txt"
            file = {"name": name, "mimeType": "text/plain", "buffer": pupil.text.encode()}
            await page.locator("#learn-file").set_input_files(file)
            await page.locator("#continue").wait_for()
            await page.locator("#text").press("Control+Enter")
            await page.get_by_text("characters a second").wait_for()
            pupil.first_text = time.monotonic() - start
            for cookie in await page.context.cookies():
                pupil.http.cookies.set(cookie["name"], cookie["value"])
            [pupil.training] = pupil.http.get("/v1/trainings").json()["data"]

        await asyncio.gather(*map(drop, pupils, pages))
        return await asyncio.to_thread(play, server, pupils)


def look(pupils: Sequence[Pupil], start: float) -> list[Pupil]:
    """Return the pupils who have a network by now."""
    for pupil in pupils:
        pupil.training = pupil.http.get(pupil.path).raise_for_status().json()
        if pupil.training["has_model"] and pupil.first_network is None:
            pupil.first_network = time.monotonic() - start
    return [pupil for pupil in pupils if pupil.training["has_model"]]


def complete(pupil: Pupil) -> float:
    """Return the seconds of a completion by a network that is in memory."""
    body = {"model": pupil.training["name"], "prompt": pupil.text[:50], "temperature": 0.8}
    for length in (1, LENGTH):
        start = time.monotonic()
        answer = pupil.http.post("/v1/completions", json={**body, "max_tokens": length})
        answer.raise_for_status()
    return time.monotonic() - start


def play(server: Server, pupils: Sequence[Pupil]) -> tuple[list[float], str]:
    """Return the seconds of completions while others train, and what the kill lost."""
    start, seconds, lost = time.monotonic(), [], ""
    while len(ready := look(pupils, start)) < len(pupils):
        if ready:
            seconds.append(complete(random.choice(ready)))
        if not lost and 2 * len(ready) >= len(pupils):
            before = [(pupil, pupil.training) for pupil in pupils]
            server.kill()
            server.start()
            look(pupils, start)
            lost = "; ".join(lost for each in before for lost in list_losses(*each)) or "nothing"
        time.sleep(2)
    return seconds, lost


def list_losses(pupil: Pupil, before: dict[str, Any]) -> list[str]:
    now = pupil.training
    is_lost = {
        "text": pupil.http.get(f"{pupil.path}/text").text != pupil.text,
        "network": before["has_model"] and not now["has_model"],
        "steps": (before["step"] or 0) > (now["step"] or 0),
    }
    return [f"{kind} of {pupil.name}" for kind in is_lost if is_lost[kind]]


def main() -> None:
    """Play the lesson, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lesson", description=__doc__)
    parser.add_argument("texts", nargs="+", type=Path, help="files of prose in UTF-8")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--bytes", type=int, nargs=2, default=(15_000, 50_000), help="sizes")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--port", type=int, default=8093)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="charrnn-lesson-") as folder:
        server = Server(Path(folder), options.port)
        texts = make_texts(options.texts, options.bytes, options.clients)
        pupils = [
            Pupil(f"text {number}", text, httpx.Client(base_url=server.url, timeout=120))
            for number, text in enumerate(texts, 1)
        ]
        try:
            if options.browser:
                meanwhile, lost = asyncio.run(play_in_browsers(server, pupils))
            else:
                with ThreadPoolExecutor(len(pupils)) as pool:
                    list(pool.map(send_text, pupils))
                meanwhile, lost = play(server, pupils)
            for pupil in pupils:
                pupil.http.patch(pupil.path, json={"state": "stopped"})
            time.sleep(15)  # until the processes of all trainings have ended
            alone = [complete(pupil) for pupil in pupils]
        finally:
            server.kill()
    print(
        f"{len(pupils)} clients, texts of {options.bytes[0]:,} to {options.bytes[1]:,} characters"
    )
    rows = [["", "median", "most"], ["---", "---:", "---:"]]
    measured = {
        "first text (s)": [pupil.first_text for pupil in pupils],
        "first network (minutes)": [(pupil.first_network or 0) / 60 for pupil in pupils],
        f"{LENGTH} characters alone (s)": alone,
        f"{LENGTH} characters while others train (s)": meanwhile,
    }
    for label, values in measured.items():
        rows.append([label, f"{statistics.median(values):.2f}", f"{max(values):.2f}"])
    rows += [[f"memory of the {name} (MB)", "", f"{mb:.0f}"] for name, mb in server.peaks.items()]
    rows.append(["lost by a kill of the server", "", lost])
    print(format_markdown(rows))
    print(f"\n{describe_machine()['processor']}, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
