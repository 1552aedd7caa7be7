"""What can be asked for: each option with its type, range, traits and default.

The library takes these dataclasses, and the command line reads them. Nothing here imports torch
or NumPy.

ranges    which values an option may have, and what else is said of it in its annotation
networks  NetworkOptions: the network that is trained
datasets  DataOptions: a text, how it is split, and how it is cut into windows
sampling  SamplingParams: how a text is written
training  TrainOptions: what is trained, on what and how
"""
