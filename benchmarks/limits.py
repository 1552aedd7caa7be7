"""Operations and bytes that each part needs at least, counted.

A multiplication with its addition is two operations. The look-up of the embedding, the
gates' functions and the optimizer are left out: a limit is what nothing can go below.
"""

from __future__ import annotations

import dataclasses
import math

from charrnn.cells import CELLS


@dataclasses.dataclass(frozen=True)
class Shape:
    """A network and the windows that it is trained in; the default recipe's by default."""

    kind: str = "lstm"
    hidden_size: int = 128
    num_layers: int = 2
    embedding_size: int = 64
    vocabulary_size: int = 65
    batch_size: int = 50
    seq_length: int = 50

    def with_size(self, name: str, size: int) -> Shape:
        """The same with another size."""
        return Shape(**{**dataclasses.asdict(self), name: size})

    @property
    def characters(self) -> int:
        """In a training step."""
        return self.batch_size * self.seq_length

    @property
    def weights(self) -> int:
        """Multiplications a character, forward."""
        H = self.hidden_size
        sizes = [self.embedding_size] + [H] * (self.num_layers - 1)
        layers = [CELLS[self.kind].shapes(size, H) for size in sizes]
        matrices = [shape for layer in layers for shape in layer.values() if len(shape) == 2]
        return sum(math.prod(shape) for shape in matrices) + H * self.vocabulary_size

    @property
    def rows(self) -> int:
        """Of the stacked gates of a layer."""
        return len(CELLS[self.kind].gates) * self.hidden_size

    @property
    def folded_weights(self) -> int:
        """The same where the first layer's inputs are looked up in a table."""
        return self.weights - self.rows * self.embedding_size

    def step_operations(self) -> int:
        """A training step: forward once, backward twice, towards inputs and weights."""
        return 3 * 2 * self.weights * self.characters

    def evaluation_operations(self) -> int:
        """One character, scored."""
        return 2 * self.folded_weights

    def weight_bytes(self) -> int:
        """What one sampled character reads in float32, however little it computes."""
        return 4 * (self.folded_weights + self.rows)
