"""From a plan to a mixed-precision model and its stage models.

build: a plan's mixed-precision model and its stages
built_models: the models of a plan, as they are built and as they are verified
metadata: the assignment written into the models, where viewers of ONNX show it
litert_stages: a .tflite model's mixed model and its stages
rebuild: plan + model -> mixed-precision model, through the quantization tool
stage_tasks: which units and lone conversions make up each stage, and in which order they run
runtime_cutters: stages of ONNX Runtime and TensorFlow, cut where LiteRT hands tensors over
runtime_stages: stages of several runtimes that can be chained
split: one model per stage, cut right after a QuantizeLinear where a tensor is int8
"""
