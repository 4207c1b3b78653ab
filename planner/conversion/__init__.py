"""From Keras and TensorFlow to ONNX or TFLite: what is asked, and what the process with TensorFlow runs.

cached_conversion: converts through a process of its own; keeps the file by content
equivalence_check: how far a converted model's answers are from the source's own
model_source: a file that the runtime runs, or a request to convert what the scenario names
provenance: what a planned model was converted from, as plan.json says it
random_samples: random numbers that inputs may hold
request: what the process with TensorFlow is asked, and what it answers
tflite_answers: what a converted `.tflite` file answers, in the source's units
worker_process: starts the process with TensorFlow, waits for it, and says how it failed
"""
