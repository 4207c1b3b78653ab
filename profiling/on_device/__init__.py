"""What is copied to a device and measures there: standard library, NumPy and ONNX Runtime, Python 3.9."""
