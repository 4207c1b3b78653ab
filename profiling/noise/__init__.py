"""Noise per tensor and unit, and units that quantization breaks.

block_end: what single changes make of the tensors at a block's end, and that of the outputs
choose_ranges: ranges of tensors, by one method or by the least noise at the outputs
correct_biases: biases that make up for the mean error of rounded weights
float16_noise: noise of a tensor as float16, from that of it quantized
form_check: which units come out wrong in a precision with float tensors, found by running them in it
form_noise: noise of units in such a precision
isolated_units: units cut out of the model, in float, rounded and quantized
measure_noise: quantization noise at the outputs, one tensor and one unit's weights at a time
noise_blocks: to where changes are followed, so that a profile takes few runs of the model
noise_pair: noise of one source at the taps and at the outputs
noise_power: noise power and largest error at the outputs
noise_sources: sources that make most of the noise, which are measured on more samples
noise_taps: tensors at which noise adds up: outputs, or logits before a Softmax
operator_check: which units cannot be operators on integers in the file, or compute otherwise then
rounded_sources: what is rounded in a quantized model, between and inside units
suffix_runner: runs a model unit by unit, so that a change runs only what lies behind it
unit_check: which units come out wrong once they are quantized, found by quantizing and running them
"""
