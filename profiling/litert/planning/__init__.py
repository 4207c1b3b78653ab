"""A `.tflite` model as plans see it: measured, quantized by unit, cut for devices.

integer_operators: which operators of a file compute on integers
litert_model: what planning asks of a `.tflite` model
mixed_model: the whole model with units in precisions, as one stage
multiply_adds: how much a model computes
ranges_file: ranges of tensors as a file
remote_readers: readers on other devices get what crosses the link
stage_file: a .tflite file with its ends, as a stage
"""
