"""A model as something that others open: a page that writes by itself, ONNX, a model file."""
