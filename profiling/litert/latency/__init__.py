"""Seconds of units and conversions of a `.tflite` model.

kernel_times: seconds of the units and conversions of a quantized model, inside the whole
litert_latency: the profile of a model, and the seconds of a plan's models
time_in_place: seconds of groups of operators inside the whole, as differences of stages
"""
