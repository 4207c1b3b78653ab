"""A traced function to a `.tflite` file; needs the extra litert, which conversions to ONNX do without.

export: through TensorFlow's own converter, with what it quantizes
names: ends named as the source's, operators by the layers that they come from
"""
