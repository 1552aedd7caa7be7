"""A run's config: as plain values, complete, and as its folder records it.

What was composed from a command line of today holds paths of today's folder and choices that
are still open; what is recorded, and goes into checkpoints, must mean the same anywhere later.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charrnn.errors import InputError
from charrnn.options import TrainOptions
from charrnn.training.launchers import Place

RECORDED = Path(".hydra") / "config.yaml"


def key_of(override: str) -> str:
    """The option that an override sets, dotted: ``model.kind`` of ``model.kind=gru``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def plain(config: Any) -> dict[str, Any]:
    """A config as read or composed, without what is only the name of a part."""
    return {str(name): value for name, value in config.items() if name != "experiment"}


def absolute(config: dict[str, Any]) -> dict[str, Any]:
    """The config with its paths absolute, so that a resume may stand in any folder."""
    data = dict(config["data"])
    for name in ("input_txt", "input_h5", "input_json"):
        value = data[name]
        if isinstance(value, list):
            data[name] = [os.path.abspath(v) for v in value]
        elif value is not None:
            data[name] = os.path.abspath(value)
    init_from = config["init_from"]
    if init_from is not None:
        # outputs/latest will be another run once this one has begun
        init_from = os.path.realpath(init_from)
    return {**config, "data": data, "init_from": init_from}


def options_from(config: dict[str, Any]) -> TrainOptions:
    """A config of plain values as its dataclass, every value checked."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        options = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainOptions), config))
    except OmegaConfBaseException as error:
        raise InputError(
            f"the recorded config does not fit: {str(error).splitlines()[0]}"
        ) from None
    assert isinstance(options, TrainOptions)
    return options


def with_choices_made(config: dict[str, Any], place: Place, *, is_new: bool) -> dict[str, Any]:
    """The config with everything automatic decided: device, precision, threads, seed, network.

    Args:
        is_new: whether the run starts, and so from `init_from`; a resume does without that file.
    """
    import secrets

    from charrnn.training import hardware
    from charrnn.training.initial import adopt_architecture

    options = options_from(config)
    if options.init_from is not None and is_new:
        from charrnn.commands import compose

        keys = [key_of(override) for override in compose.task_overrides()]
        given = {key.removeprefix("model.") for key in keys if key.startswith("model.")}
        given |= {"kind"} if "model" in keys else set()
        options.model = adopt_architecture(options.init_from, options.model, given)
    trainer = hardware.resolve(options.trainer, options.model, options.data.batch_size, place)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    return {
        **config,
        "model": asdict(options.model),
        "trainer": asdict(trainer),
        "seed": seed,
        "resume": None,
    }


def recorded(folder: Path) -> dict[str, Any]:
    """The config of a run folder. Raises InputError: it cannot be read."""
    from omegaconf import OmegaConf

    path = folder / RECORDED
    try:
        return plain(OmegaConf.to_container(OmegaConf.load(path)))
    except Exception as error:  # YAML and OmegaConf raise many kinds
        what = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read ({what})") from None


def record(folder: Path, config: dict[str, Any]) -> None:
    """Let the folder hold this config."""
    from omegaconf import OmegaConf

    from charrnn.files import replacing

    with replacing(folder / RECORDED) as temporary:
        OmegaConf.save(OmegaConf.create(config), temporary)
