"""One model in two runtimes: what both have in common, so that stages of both can be chained.

block_graph: units of both runtimes in blocks between tensors that both have
crossing_forms: what carries a tensor between stages of different runtimes
joint_blocks: which units of both runtimes are one block
model_values: the tensors of a model on some samples
onnx_inputs: an ONNX model that takes inputs as the other runtime does
own_ranges: one range of a tensor for both runtimes
several_runtimes_model: what planning asks of a model in two runtimes
tensor_matches: tensors that exist in two models
"""
