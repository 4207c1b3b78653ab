"""Noise per tensor and unit, and units that quantization breaks.

measure_noise: quantization noise at the outputs, one tensor and one unit's weights at a time
noise_taps: tensors at which noise adds up: outputs, or logits before a Softmax
unit_check: which units come out wrong once they are quantized, found by quantizing and running them
"""
