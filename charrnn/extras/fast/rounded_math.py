"""exp, ln and tanh in float32, with the same bits on every machine."""

from __future__ import annotations

import math

import numpy as np

from charrnn.extras.fast.compiling import F, inline

# 2**f = 1 + f * q(f) for f in [-0.5, 0.5]: coefficients of q, fitted at Chebyshev points
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5 = map(F, (
    0.6931471880293426, 0.24022650922342706, 0.055503571042531036,
    0.009618056669891782, 0.001339086735134184, 0.00015461447461418272,
))  # fmt: skip


LOG2_E = F(math.log2(math.e))
LARGEST_POWER = F(100)  # of two
# tanh(x) = x (a0 + a1 x**2 + a2 x**4) / (1 + b1 x**2 + b2 x**4 + b3 x**6) from -6 to 6, with an
# error of at most 7e-6, a thousandth of a step of int8
_A0, _A1, _A2 = map(F, (0.9999711563322369, 0.1144727688279115, 0.0014955564822588022))
_B1, _B2, _B3 = map(F, (0.44771414092506084, 0.017487422700325637, 5.5186217111248396e-05))
TANH_LIMIT = F(6)
_L0, _L1, _L2, _L3, _L4 = (F(2 / n) for n in (1, 3, 5, 7, 9))
LOG_TWO = F(math.log(2))
SQRT_HALF_BITS = F(0.5**0.5).view(np.int32)
WEIGHT_STEP = 2.0**-30  # the weights of a draw are multiples of it


_ONE, _TWO, _HALF = F(1), F(2), F(0.5)


@inline
def _exp2(power):  # type: ignore[no-untyped-def]
    """Return 2**power: the nearest power of two, and a polynomial of the rest."""
    power = min(max(power, -LARGEST_POWER), LARGEST_POWER)
    integer = np.floor(power + _HALF)
    f = power - integer
    rest = f * (_Q0 + f * (_Q1 + f * (_Q2 + f * (_Q3 + f * (_Q4 + f * _Q5)))))
    # A float32 has the exponent of two, plus 127, above its 23 lower bits.
    scale = np.int32((np.int32(integer) + np.int32(127)) << np.int32(23)).view(np.float32)
    return scale + scale * rest


@inline
def tanh(x):  # type: ignore[no-untyped-def]
    """Return tanh(x) as a quotient of two polynomials."""
    x = min(max(x, -TANH_LIMIT), TANH_LIMIT)
    y = x * x
    numerator = x * (_A0 + y * (_A1 + y * _A2))
    return numerator / (_ONE + y * (_B1 + y * (_B2 + y * _B3)))


@inline
def sigmoid(x):  # type: ignore[no-untyped-def]
    return _HALF + _HALF * tanh(_HALF * x)


@inline
def exp(x):  # type: ignore[no-untyped-def]
    """Return e**x for x <= 0, as a multiple of `WEIGHT_STEP`."""
    power = _exp2(F(x) * LOG2_E)
    return np.rint(np.float64(power) / WEIGHT_STEP) * WEIGHT_STEP


@inline
def log(x):  # type: ignore[no-untyped-def]
    """Return ln x for x = m 2**n > 0, m near 1, as 2 atanh((m - 1) / (m + 1)) + n ln 2."""
    bits = F(x).view(np.int32)
    n = np.int32(np.int32(bits - SQRT_HALF_BITS) >> np.int32(23))
    m = np.int32(bits - np.int32(n << np.int32(23))).view(np.float32)
    s = (m - _ONE) / (m + _ONE)
    square = s * s
    series = _L0 + square * (_L1 + square * (_L2 + square * (_L3 + square * _L4)))
    return F(n) * LOG_TWO + s * series
