"""The compiled engine, and int8: how a long text is written fast.

kernel_constants  the numbers of int8 arithmetic
int8_network      ``precision=8``, defined with NumPy
numba_loop        a network and the draw as one compiled loop, float32 and int8
numba_engine      the loop as an engine
fast_engines      what the core asks for by name
"""
