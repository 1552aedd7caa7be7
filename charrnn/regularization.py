"""What is dropped or tied in training only: the model that comes out is an ordinary one.

Every share is the probability with which a number is set to zero; what is kept is scaled up by
1 / (1 - share), so that nothing changes on average and evaluation needs no correction. The
network applies all of it (`charrnn.network`); a trained model knows none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from charrnn import registry
from charrnn.errors import InputError
from charrnn.options.ranges import BELOW_1, require, require_ranges


@dataclass(frozen=True)
class Regularization:
    """How a network is kept from learning its text by heart.

    Attributes:
        output_dropout: share of what the decoder reads, the last layer's outputs or the sum;
            None: as of every other layer's, `Architecture.dropout` (Srivastava et al. 2014).
        embedding_dropout: share of the embedding's outputs.
        recurrent_dropout: share of the hidden units that a layer does not see of its own past;
            the same ones for a window long (Gal and Ghahramani, arXiv 1512.05287), and for all
            streams that are computed together.
        weight_dropout: share of the recurrent weights, the same ones for a window long
            (DropConnect as in AWD-LSTM, arXiv 1708.02182).
        locked_dropout: let the dropout of outputs drop the same units for a window long, others in
            each stream, instead of anew for each character (arXiv 1512.05287).
        label_smoothing: share of the target that is spread over all characters
            (arXiv 1512.00567); validation counts without it.
        tied: the decoder's weights are the embedding's (arXiv 1608.05859), for which
            both must have the same size.

    Raises:
        InputError: a value is out of its range.
    """

    output_dropout: float | None = None
    embedding_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    locked_dropout: bool = False
    label_smoothing: float = 0.0
    tied: bool = False

    def __post_init__(self) -> None:
        shares = (
            "output_dropout", "embedding_dropout", "recurrent_dropout", "weight_dropout",
            "label_smoothing",
        )  # fmt: skip
        require_ranges("model.", self, **dict.fromkeys(shares, BELOW_1))

    def require_fits(self, kind: str, embedding_size: int, hidden_size: int | None) -> None:
        """Raise InputError if a network of this kind and these sizes cannot have it.

        Args:
            hidden_size: None: it is not chosen yet.
        """
        cell = registry.cell_of(kind)
        if cell is None:
            for field in fields(self):
                value = getattr(self, field.name)
                require(
                    value == field.default,
                    f"model.{field.name}",
                    str(value).lower(),
                    f"is for charrnn's own network, which a {kind} is not; leave it out",
                )
            return
        for name in ("recurrent_dropout", "weight_dropout"):
            share = getattr(self, name)
            require(
                cell.recurrent or not share,
                f"model.{name}",
                share,
                f"a {kind} has no recurrent weights; leave it out",
            )
        if self.tied and hidden_size not in (None, embedding_size):
            raise InputError(
                f"model.tied=true: the embedding has {embedding_size} numbers a character and the "
                f"decoder {hidden_size}; give model.embedding_size={hidden_size}"
            )
