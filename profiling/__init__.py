"""Measures a model on this machine; knows nothing of scenarios and plans.

arrays: types of the numbers that go in and out of a model
available_memory: how much memory this process may still take
cache_lock: locks of the cache, and which processes use it
directories: cache, scratch and temporary folders
errors: ProfilingError and its kinds
input_files: files from outside: regular, and of a bounded size
inspection: `plan inspect`: units, sizes, obstacles, seconds
onnx_runtime_model: an ONNX model as planning measures it
precision: what units compute in, and forms on links
printable_text: text from outside as a terminal may show it
probe_precisions: what a whole model costs in each precision, in two seconds
progress: how long work says how far it is
range_method: how the range of a tensor is taken from its values
runtime_names: the runtimes, as scenarios name them
runtime_model: what planning asks of a model, whichever its runtime
stage_session: opens a stage in the runtime that it is for
"""
