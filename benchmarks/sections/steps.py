"""Measure the training step of torch-rnn's recipe in `charrnn train` and in its peers.

The time per step is the time from the end of the first step to the end of the last one, divided by
the steps. `charrnn train` logs, and validates, samples and writes a checkpoint halfway.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from omegaconf import OmegaConf

from benchmarks.inputs import Inputs
from benchmarks.measuring import measure_in_turns
from benchmarks.tables import Row, format_rows

NEWEST_RUN = "outputs/latest"
# peers: the name in the rows -> the name in `benchmarks.peers`, and its argument
BARE = {"bare PyTorch loop over the same module": ("bare", NEWEST_RUN)}


def measure(inputs: Inputs) -> str:
    """Return the table of steps with torch-rnn's recipe."""
    steps = inputs.scale_size(1000, least=12)
    words = ("experiment=torch_rnn", "trainer=cpu", f"checkpoint_every={steps // 2}")
    peers = {**BARE, "plain nn.LSTM script (float32)": ("plain", str(inputs.text))}
    return format_rows(compare_steps(inputs, steps, words, peers))


def compare_steps(
    inputs: Inputs, steps: int, words: tuple[str, ...], peers: Mapping[str, tuple[str, str]]
) -> list[Row]:
    """Return rows with the step and the peak memory of `charrnn train` and of its peers.

    Args:
        words: of `charrnn train`; the first one names the rows.
        peers: see `BARE`.
    """
    command = f"`charrnn train {words[0]}`"
    programs = {command: partial(inputs.train, *words, f"trainer.max_steps={steps}")}
    for name, peer in peers.items():
        programs[name] = partial(inputs.run_peer, *peer, "--steps", str(steps))
    peaks = dict.fromkeys(programs, 0)

    def time_step(name: str) -> float:
        ended = programs[name]()
        peaks[name] = max(peaks[name], ended.peak_bytes)
        return (ended.find_time(f"step {steps:,}") - ended.find_time("step 1")) / (steps - 1)

    parts = {name: partial(time_step, name) for name in programs}
    seconds = measure_in_turns(parts, inputs.rounds)
    config = OmegaConf.load(inputs.folder / NEWEST_RUN / ".hydra" / "config.yaml")
    titles = {name: name for name in programs} | {
        command: f"{command} ({config.trainer.precision})"
    }
    return [
        *(Row(f"{title}, a step", 1e3 * seconds[name], "ms") for name, title in titles.items()),
        *(Row(f"{command} / {name}", seconds[command] / seconds[name], "x") for name in peers),
        *(Row(f"{title}, peak memory", peaks[name] / 1e6, "MB") for name, title in titles.items()),
    ]
