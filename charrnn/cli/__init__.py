"""The command line: the only part that knows Hydra. Options, their check, help and refusals."""
