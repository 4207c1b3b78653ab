"""From a prepared model to units: the groups of nodes that the runtime runs as one.

any_model: a model in memory for whichever runtime, its inputs and outputs
blocked_layout: pools that keep float units behind int8 ones in the layout of float convolutions
compressed_weights: what weights weigh once they are compressed
dataflow: who writes and who reads each tensor of an ONNX model
fusion_groups: which nodes ONNX Runtime fuses into one kernel, so that they are decided together
integer_operators: which operators compute on integers
mixed_model: the whole model with units in precisions
multiply_adds: how much a model computes, which says how many samples its noise can be measured on
nhwc_layout: units that are fast in int8 only in channels-last layout
operator_graph: OperatorGraph: units, tensors, and who writes and reads them
quantizability: why a unit cannot be quantized, and whether it is already
unit_graph: an ONNX model's units
written_out: operators that a model writes out in several nodes, and that the runtime computes in one kernel
"""
