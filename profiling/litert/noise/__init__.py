"""Noise of a `.tflite` model per tensor and unit, for each mode; the same records as for an ONNX model.

constants: other values for a model's constants
grids: steps on which a static mode rounds tensors, as the quantizer wrote them
integer_unit: a unit in a static mode, seen in floats
measure_litert_noise: noise at the taps, one tensor and one unit at a time
mode_parts: what a mode makes of each tensor and unit by itself
suffix_runner: runs a model unit by unit, so that a change runs only what lies behind it
summed_noise: noise of a model with units in modes, as a sum
tap_tensors: tensors at which noise adds up: outputs, or logits before a SOFTMAX
"""
