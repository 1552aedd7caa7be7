"""Where the training text of a model is found: what its run recorded, or what is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from charrnn.data import BLOCK, EncodedText, open_data
from charrnn.errors import InputError, shown
from charrnn.extras.novelty.training_text import TrainingText
from charrnn.models.ensemble import Trained
from charrnn.text.preprocessing import read_pieces


def find_training_text(trained: Trained, corpus: str | None = None) -> TrainingText:
    """The text that a model was trained on.

    Args:
        corpus: a text file, all of which counts, or an HDF5 file beside its JSON, of which the
            training split counts; by default the training split that the model's run recorded.

    Raises:
        InputError: it cannot be found or read.
    """
    if corpus is None:
        h5, json = trained.facts.get("input_h5"), trained.facts.get("input_json")
        if not isinstance(h5, str) or not isinstance(json, str):
            raise InputError(
                "corpus=null: the model does not say what it was trained on; give corpus=, its text"
            )
        try:
            return TrainingText(_training_split(open_data(Path(h5), Path(json))))
        except InputError as error:
            raise InputError(
                f"corpus=null: the text that the model was trained on is not at hand; "
                f"give corpus=, its text ({error})"
            ) from None
    try:
        return TrainingText(_text_of(corpus, trained))
    except InputError as error:
        what = str(error).removeprefix(f"{corpus}: ")
        raise InputError(f"corpus={shown(corpus)}: {what}") from None


def _text_of(corpus: str, trained: Trained) -> str:
    path = Path(corpus)
    if path.suffix in (".h5", ".hdf5"):
        return _training_split(open_data(path, path.with_suffix(".json")))
    return "".join(read_pieces(corpus, trained.encoding))


def _training_split(data: EncodedText) -> str:
    """The characters of the training split, in the order in which they were learnt."""
    code_points = np.array([ord(c) for c in data.vocabulary.characters], "<u4")
    ids = data.unread("train")
    pieces = []
    for start in range(0, len(ids), BLOCK):
        points = code_points[ids[start : start + BLOCK]]
        pieces.append(points.tobytes().decode("utf-32-le", "surrogatepass"))
    data.release()
    return "".join(pieces)
