"""`quantize_static` and what is mended around it; the only door to the quantization tool.

activation_histograms: which values each tensor has over samples, and how often
activation_ranges: least and greatest value of each tensor over samples
block_weights: weights of few bits in blocks that share a scale (MatMulNBits)
calibration: ranges of tensors over samples to a file, and the scheme that goes with it
dynamic_integers: products of integers whose activations are rounded in each run
fake_quantization: tensors and weights rounded to their integer grid, in float
half_weights: weights stored as float16
int16_activations: 16-bit activations for some nodes
int8_overflow: whether int8 kernels overflow on this machine, found out by running one
keep_float: keeps nodes in float that the runtime would fuse into integer kernels
node_form: what a form does to a node that reads and writes floats, and models with nodes in forms
node_forms: which form each precision is
per_channel_weights: weights and biases quantized per channel
qdq_model: the mixed-precision model with QuantizeLinear and DequantizeLinear: `quantize_static` by unit
qlinear_operators: operators on integers in the file, in place of such nodes around float ones
range_choice: from a tensor's values to the range that 8 bits span, by several methods
ranges_file: the file with the range of every tensor and the errors of biases, which quantization reads
value_histogram: counts of a tensor's values in bins that fit whatever is counted first
weight_scales: scales and zero points of weights, for all channels at once
wire_formats: float16 and uint8 forms of a float tensor on a link
"""
