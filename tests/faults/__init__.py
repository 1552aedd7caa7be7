"""Runs with faults: `child` puts them into a process, `runs` finds what a broken run lost."""
