"""Measures an ONNX model on this machine; knows nothing of scenarios and plans."""
