"""Translate command lines of torch-rnn and char-rnn to charrnn's overrides."""

from __future__ import annotations

from collections.abc import Iterator

# flag -> option, for each command
_OPTIONS = {
    "train": {
        "input_h5": "data.input_h5",
        "input_json": "data.input_json",
        "data_dir": "data.input_txt",
        "val_frac": "data.val_frac",
        "batch_size": "data.batch_size",
        "seq_length": "data.seq_length",
        "model": "model",
        "model_type": "model",
        "wordvec_size": "model.embedding_size",
        "rnn_size": "model.hidden_size",
        "num_layers": "model.num_layers",
        "dropout": "model.dropout",
        "batchnorm": "model.batchnorm",
        "max_epochs": "trainer.max_epochs",
        "learning_rate": "optimizer.lr",
        "grad_clip": "trainer.gradient_clip_val",
        "lr_decay_every": "schedule.decay_every",
        "lr_decay_factor": "schedule.decay_factor",
        "eval_val_every": "validate_every",
        "gpu": "trainer",
        "gpuid": "trainer",
        **{name: name for name in ("print_every", "checkpoint_every", "init_from", "seed")},
    },
    "sample": {
        "primetext": "start_text",
        **{n: n for n in ("checkpoint", "length", "start_text", "temperature", "sample", "seed")},
    },
    "evaluate": {name: name for name in ("checkpoint", "split")},
    "preprocess": {
        **{n: n for n in ("input_txt", "output_h5", "output_json", "encoding", "quiet")},
        **{n: n for n in ("val_frac", "test_frac")},
    },
}
_IGNORED_FLAGS = {
    *("gpu", "gpuid", "gpu_backend", "opencl", "verbose", "checkpoint_name", "checkpoint_dir"),
    *("speed_benchmark", "memory_benchmark", "reset_iterations", "savefile"),
}


def translate_words(command: str, words: list[str]) -> list[str] | None:
    """Translate flags to overrides; return None if a flag is unknown to both programs."""
    options, overrides = _OPTIONS.get(command, {}), []
    for name, value in _read_flags(words):
        if name == "" and command == "sample" and "=" not in value:
            overrides.append(f"checkpoint={value}")  # char-rnn's sampler has no flag for it.
        elif name not in {*options, *_IGNORED_FLAGS}:
            return None
        elif name.startswith("gpu"):
            overrides += ["trainer=cpu"] * (command == "train" and value == "-1")
        elif name in options:
            if name.startswith("lr_decay"):
                overrides.append("schedule=step")
            if name in ("batchnorm", "sample", "quiet"):
                value = {"0": "false", "1": "true", "": "true"}.get(value, value)
            if (name, value) == ("grad_clip", "0"):
                value = "null"
            overrides.append(f"{options[name]}={value}")
    return [*dict.fromkeys(overrides)]


def _read_flags(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each flag's name with its value, and each other word with the name ""."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            yield "", word
            continue
        flag, _, value = word.partition("=")
        if not value and rest and (rest[0][:1] != "-" or rest[0][1:].isdigit()):
            value = rest.pop(0)
        yield flag.lstrip("-"), value
