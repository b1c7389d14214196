"""Trained policies as ONNX graphs, for programs that have neither torch nor this package."""
