"""From a plan to a mixed-precision model and its stage models.

build: a plan's mixed-precision model and its stages
built_models: the models of a plan, as they are built and as they are verified
metadata: the assignment written into the models, where viewers of ONNX show it
litert_stages: a .tflite model's mixed model and its stages
rebuild: plan + model -> mixed-precision model, through the quantization tool
runtime_stages: blocks of several runtimes -> stages of either runtime that can be chained
stage_tasks: which units and lone conversions make up each stage, and in which order they run
split: one model per stage, cut right after a QuantizeLinear where a tensor is int8
"""
