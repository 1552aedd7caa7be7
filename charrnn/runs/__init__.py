"""Train a run, and read, lock and rank run folders."""
