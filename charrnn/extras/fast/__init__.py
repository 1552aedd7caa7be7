"""The compiled engine, and int8: how a long text is written fast.

numba_loop    a network and the draw as one compiled loop, float32 and int8
fast_engines  the engine around it, which the core asks for by name
"""
