"""charrnn and its peers side by side, in one run: `python -m benchmarks`, or `make bench`.

    measuring   calm rounds of interleaved parts, medians, child processes with their memory
    machine     what the machine is, and what it can do: products, bytes
    limits      what a part needs at least: operations and bytes, counted
    sections/   one file a part of the way; each yields rows of the table
    growth      how cost grows with one size at a time; the curves
    peers/      programs to compare with, each a process of its own
    report      the table as Markdown and JSON, and the curves as PNG

Times wander with the machine, and more so with what else runs on it. What is compared is
therefore measured in turns (A B A B), rounds in which other programs took part of the
processor are repeated, and a figure is a ratio of medians. Nothing is asserted here: a bar
that is missed stands in the table as missed.
"""
