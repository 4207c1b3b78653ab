"""Measures a `.tflite` model with LiteRT: the same records of units and tensors as for an ONNX model.

calibration: the range of each tensor over samples
cut: stages of a model as files of their own
element_types: LiteRT's element types beside NumPy's and ONNX's
faults: what is wrong with a file's tables
flatbuffer: the door to flatbuffers
inseparable: operators that stages must not part
inspection: `plan inspect --runtime litert`
interpreter: the door to LiteRT's interpreter
load: a file to a model with one graph
mode_search: which modes each unit can take
modes: what a mode does to weights and activations
neutral_model: a model as the quantizer can take it
noise: noise per tensor and unit, for each mode
not_run: why a file is not run
one_operator: an operator that reads a constant of its own
quantize: units to modes, and what came of it
quantizer: the door to LiteRT's quantizer
shapes: dynamic dimensions
session: a stage as a session
table_access: what tables say
unit_graph: operators to units
"""
