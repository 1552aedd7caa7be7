"""Compare charrnn with other programs in one run: `python -m benchmarks`, or `make bench`.

    measuring    measures programs and functions: seconds, memory, medians of turns
    inputs       prepares what all sections use: a text, its ids, a trained model
    sections/    one module per section, whose function `measure` returns rows
    peers/       programs to compare with; each runs in a separate process
    tables       formats rows, and writes tables into the pages
    machine      describes the machine

`make results` has two more programs, which use measuring and tables:

    recipes      trains each recipe, for the losses in README and docs/results.md
    text_sizes   trains on texts of several kinds and lengths, for the table in README

Times change with the machine and its load. Compared programs are therefore measured in turns
(A B A B), and a figure is a median, or a ratio of medians.
"""
