"""`quantize_static` and what is mended around it; the only door to the quantization tool.

activation_histograms: which values each tensor has over samples, and how often
activation_ranges: least and greatest value of each tensor over samples
calibration: ranges of tensors over samples to a file, and the scheme that goes with it
fake_quantization: tensors and weights rounded to their integer grid, in float
int16_activations: 16-bit activations for some nodes
int8_overflow: whether int8 kernels overflow on this machine, found out by running one
keep_float: keeps nodes in float that the runtime would fuse into integer kernels
per_channel_weights: weights and biases quantized per channel
qdq_model: the mixed-precision model with QuantizeLinear and DequantizeLinear: `quantize_static` by unit
range_choice: from a tensor's values to the range that 8 bits span, by several methods
ranges_file: the file with the range of every tensor, which quantization reads
value_histogram: counts of a tensor's values in bins that fit whatever is counted first
weight_scales: scales and zero points of weights, for all channels at once
wire_formats: float16 and uint8 forms of a float tensor on a link
"""
