"""What the compiled loop and its engine call things; readable without numba."""

from __future__ import annotations

# The cells that the loop has a kernel for, and what each is called in it
KERNELS = {"lstm": 0, "gru": 1, "rnn": 2}
TOGETHER = 4  # streams that go through the weights together

# What is read of a layer, by `Architecture.skip`
SKIPS = {"none": 0, "residual": 1, "sum": 2}
