"""The fault run: training that is killed in every phase, and loses nothing.

    python -m tests.faults        (make faults)

`child` is a command line in a process of its own with a fault in it, `runs` are whole and
broken runs and what tells them apart; a short form is in tests/training/test_faults.py.
"""
