"""Writing together with a model, in a terminal (extra ``interactive``)."""
