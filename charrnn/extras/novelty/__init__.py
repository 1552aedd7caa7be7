"""Measure how much of a sample is copied from the training text, and sample without copies."""
