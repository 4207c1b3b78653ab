"""The runtimes, as scenarios name them."""

ONNX_RUNTIME, LITERT = "onnxruntime", "litert"
