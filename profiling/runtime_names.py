"""The runtimes, as scenarios name them."""

ONNX_RUNTIME, LITERT, TENSORFLOW = "onnxruntime", "litert", "tensorflow"
