"""Writing together with a model, in a terminal (extra ``interactive``).

continuations  several continuations of a text, as they are written
editor         the editor around them
"""
