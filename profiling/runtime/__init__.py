"""The one door to ONNX Runtime sessions, and what happened when they crashed."""
