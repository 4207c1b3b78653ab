"""Seconds of units and conversions of a `.tflite` model.

litert_latency: the profile of a model, and the seconds of a plan's models
litert_variants: the models that are timed of a plan: quantized, cut, and opened where they are
owned_groups: operators of a quantized model in groups, each with the unit or conversion it works for
time_in_place: seconds of groups of operators inside the whole, as differences of stages
write_litert_bundle: a folder with everything that a device with LiteRT needs to be measured by itself
"""
