"""From Keras and TensorFlow to ONNX: what is asked, and the modules that the process with TensorFlow runs.

cached_conversion: converts through a process of its own; keeps the ONNX file by content
equivalence_check: how far a converted model's answers are from the source's own
model_source: an ONNX file, or a request to convert what the scenario names
provenance: what a planned model was converted from, as plan.json says it
request: what the process with TensorFlow is asked, and what it answers
worker_process: starts the process with TensorFlow, waits for it, and says how it failed
"""
