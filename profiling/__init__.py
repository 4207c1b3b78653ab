"""Measures an ONNX model on this machine; knows nothing of scenarios and plans.

arrays: types of the numbers that go in and out of a model
available_memory: how much memory this process may still take
cache_lock: locks of the cache, and which processes use it
directories: cache, scratch and temporary folders
errors: ProfilingError and its kinds
input_files: files from outside: regular, and of a bounded size
inspection: `plan inspect`: units, sizes, obstacles, seconds
precision: fp32, int8, int16; float16 and uint8 on links
printable_text: text from outside as a terminal may show it
progress: how long work says how far it is
"""
