"""charrnn and its peers side by side, in one run: `python -m benchmarks`, or `make bench`.

    measuring   interleaved rounds, medians, child processes with their memory
    sections    the parts of the way; each gives rows of the table
    report      rows, the table, and what the machine is
    peers/      programs to compare with, each a process of its own

Times wander with the machine, and more so with what else runs on it. What is compared is therefore
measured in turns (A B A B), and a figure is a ratio of medians. Nothing is asserted here: a bar
that is missed stands in the table as missed.
"""
