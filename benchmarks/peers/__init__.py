"""Programs to compare charrnn with. Each runs as a process: `python -m benchmarks.peers.NAME`.

Each program prints `step 1` on standard error after its first step and `done` after its last, so
that all programs are measured in the same way from outside.
"""
