"""The compiled engine, and int8: how a long text is written fast.

int8_network  ``precision=8``, defined with NumPy, and the numbers of its arithmetic
numba_loop    a network and the draw as one compiled loop, float32 and int8
fast_engines  both as engines, which the core asks for by name
"""
