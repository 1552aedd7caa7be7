"""Command lines of torch-rnn and char-rnn, as tutorials print them, are answered with charrnn's."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_files

LINES = {
    "train -input_h5 x.h5 -input_json x.json -rnn_size 256 -batchnorm 1 -gpu -1": (
        "charrnn train data.input_h5=x.h5 data.input_json=x.json model.hidden_size=256 "
        "model.batchnorm=true trainer=cpu\n"
    ),
    "train -data_dir data/mine -lr_decay_every 10 -lr_decay_factor 0.7 -grad_clip 0": (
        "charrnn train data.input_txt=data/mine schedule=step schedule.decay_every=10 "
        "schedule.decay_factor=0.7 trainer.gradient_clip_val=null\n"
    ),
    "sample -checkpoint cv/checkpoint_10000.t7 -length 2000 -sample 0 -gpu 0": (
        "charrnn sample checkpoint=cv/checkpoint_10000.t7 length=2000 sample=false\n"
    ),
    "sample cv/lm.t7 -primetext the": "charrnn sample checkpoint=cv/lm.t7 start_text=the\n",
    "preprocess --input_txt my.txt --output_h5 x.h5": (
        "charrnn preprocess input_txt=my.txt output_h5=x.h5\n"
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_torch_rnn_is_answered_with_ours(line: str, door: Any) -> None:
    assert door.refuses(*line.split()).endswith(LINES[line])
    write_files(Path(), {"data/mine": "a text"})
    assert door(*shlex.split(LINES[line])[1:]).code == 0
