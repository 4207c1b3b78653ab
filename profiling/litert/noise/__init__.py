"""Noise of a `.tflite` model per tensor and unit, for each mode; the same records as for an ONNX model.

grids: steps on which a static mode rounds tensors, as the quantizer wrote them
measure_litert_noise: noise at the taps, one tensor and one unit at a time
mode_parts: what a mode makes of each tensor and unit by itself
suffix_runner: runs a model unit by unit, so that a change runs only what lies behind it
tap_tensors: tensors at which noise adds up: outputs, or logits before a SOFTMAX
"""
