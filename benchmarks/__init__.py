"""Compare charrnn with other programs in one run: `python -m benchmarks`, or `make bench`.

    measuring   measurements in turns, and child processes with their time and memory
    machine     a description of the machine
    sections/   one module per section of the table
    report      rows, and the table
    peers/      programs to compare with; each runs in a separate process

Times change with the machine and its load. Compared programs are therefore measured in turns
(A B A B), and a figure is a ratio of medians. A missed bar is no error; the table says "missed".
"""
