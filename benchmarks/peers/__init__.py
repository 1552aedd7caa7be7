"""Programs to compare charrnn with, each run as a process: `python -m benchmarks.peers.NAME`.

Each says `step 1` on standard error after its first step and `done` after its last, so that
what is compared is measured from outside, in the same way for all.
"""
