"""From a plan to a mixed-precision model and its stage models.

build: a plan's mixed-precision model and its stages
built_models: the models of a plan, as they are built and as they are verified
metadata: the assignment written into the models, where viewers of ONNX show it
rebuild: plan + model -> mixed-precision model, through the quantization tool
split: one model per stage, cut right after a QuantizeLinear where a tensor is int8
"""
