"""The options, each with its type, range, traits and default.

The library and the command line use the same dataclasses. Nothing here imports torch or NumPy.

ranges    the ranges and traits in the annotations of options
networks  NetworkOptions: the kind and the size of a network
datasets  DataOptions: a text, its splits and its windows
sampling  SamplingParams: the sampling of text
training  TrainOptions: everything else that a training needs
"""
