"""Programs to compare charrnn with: `python benchmarks/peers/NAME.py`, each in a separate process.

Like `charrnn train`, a program prints `step N` on standard error after its first step and after its
last, so that all programs are measured in the same way from outside.
"""
