"""The numbers of the compiled loop and of int8 arithmetic; readable without numba."""

from __future__ import annotations

import math

import numpy as np

# What each cell is called in the compiled loop
KERNELS = {"lstm": 0, "gru": 1, "rnn": 2}
TOGETHER = 4  # streams that go through the weights together

# 2**f = 1 + f * q(f) for f in [-0.5, 0.5], q fitted at Chebyshev points, the lowest power first
POWER_OF_TWO = tuple(
    np.float32(c)
    for c in (
        0.6931471880293426,
        0.24022650922342706,
        0.055503571042531036,
        0.009618056669891782,
        0.001339086735134184,
        0.00015461447461418272,
    )
)
LOG2_E = np.float32(math.log2(math.e))
LARGEST_POWER = np.float32(100)  # of two: where tanh and sigmoid have long reached their limit
# tanh(x) = x (a0 + a1 x**2 + a2 x**4) / (1 + b1 x**2 + b2 x**4 + b3 x**6) from -6 to 6, fitted so
# that it is at most 7e-6 from it: a thousandth of a step of int8
TANH_NUM = tuple(
    np.float32(c) for c in (0.9999711563322369, 0.1144727688279115, 0.0014955564822588022)
)
TANH_DEN = tuple(
    np.float32(c) for c in (0.44771414092506084, 0.017487422700325637, 5.5186217111248396e-05)
)
TANH_LIMIT = np.float32(6)
LOG_SERIES = tuple(np.float32(2 / n) for n in (1, 3, 5, 7, 9))
LOG_TWO = np.float32(math.log(2))
SQRT_HALF = np.float32(0.5**0.5).view(np.int32)  # its bits
WEIGHT_STEP = 2.0**-30  # of the weights of a draw in int8
