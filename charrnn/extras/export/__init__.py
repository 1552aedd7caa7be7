"""A model as something that others open: a page that writes by itself, a model file."""
