"""How recurrent layers stand on one another: what normalizes an output, and what is added up.

A layer's output is normalized where the model says so, and then read by the layer above, or by
the decoder after the last. With skip connections more is read than the last output:

    none      a layer reads the output of the one below, the decoder that of the last
    residual  a layer's output is added to what it read, from the second layer on: so each
              layer, and the decoder, reads the sum of all outputs below it
    sum       a layer reads the output of the one below, the decoder the sum of all outputs

None of it touches what a cell carries from one character to the next.
"""

from __future__ import annotations

from charrnn.errors import InputError
from charrnn.options.ranges import one_of

SKIP = one_of("none", "residual", "sum")


def require_one_norm(layernorm: bool, batchnorm: bool) -> None:
    """Raise InputError if a layer's output would be normalized in two ways."""
    if layernorm and batchnorm:
        raise InputError(
            "model.layernorm=true: cannot be combined with model.batchnorm=true; leave one of "
            "them out"
        )
