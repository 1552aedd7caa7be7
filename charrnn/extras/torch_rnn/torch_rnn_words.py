"""Translate command lines of torch-rnn and char-rnn to charrnn's overrides."""

from __future__ import annotations

# flag -> option
_OPTIONS = {
    "input_h5": "data.input_h5",
    "input_json": "data.input_json",
    "data_dir": "data.input_txt",
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
    "primetext": "start_text",
    "output_h5": "output_h5",
    "output_json": "output_json",
    "print_every": "print_every",
    "checkpoint_every": "checkpoint_every",
    "checkpoint_name": "hydra.run.dir",
    "init_from": "init_from",
    "seed": "seed",
    "checkpoint": "checkpoint",
    "split": "split",
    "length": "length",
    "start_text": "start_text",
    "temperature": "temperature",
    "sample": "sample",
}
_OPTIONS_OF_TEXTS = ("input_txt", "val_frac", "test_frac", "encoding")
_VALUES = {
    ("batchnorm", "0"): "false",
    ("batchnorm", "1"): "true",
    ("sample", "0"): "false",
    ("sample", "1"): "true",
    ("grad_clip", "0"): "null",
}
_IGNORED = {
    *("gpu", "gpuid", "gpu_backend", "opencl", "verbose", "checkpoint_dir"),
    *("speed_benchmark", "memory_benchmark", "reset_iterations", "savefile"),
}


def translate_words(command: str, words: list[str]) -> list[str] | None:
    """Translate flags to overrides; return None if a flag is unknown to both programs."""
    overrides, rest = [], iter(words)
    of_texts = "data." if command == "train" else ""
    options = _OPTIONS | {name: f"{of_texts}{name}" for name in _OPTIONS_OF_TEXTS}
    if command == "convert":
        options["checkpoint"] = "input"
    for word in rest:
        flag = word.lstrip("-")
        if flag == word:  # as the checkpoint of char-rnn's sampler
            overrides.append(word)
        elif flag == "quiet":  # the only flag without a value
            overrides.append("quiet=true")
        elif flag in options:
            value = next(rest, "")
            if flag == "input_h5" and command == "train":  # Every training of torch-rnn has it.
                overrides.append("experiment=torch_rnn")
            if flag.startswith("lr_decay"):
                overrides.append("schedule=step")
            overrides.append(f"{options[flag]}={_VALUES.get((flag, value), value)}")
        elif flag in _IGNORED:
            if next(rest, "") == "-1" and flag.startswith("gpu"):
                overrides.append("trainer=cpu" if command == "train" else "device=cpu")
        else:
            return None
    return [*dict.fromkeys(overrides)]
