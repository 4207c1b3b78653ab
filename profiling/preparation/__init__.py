"""From a source model to one that can be quantized, with the same numbers.

boundary_identities: Identity nodes where an input is an output
equivalence: whether a rewritten model gives the numbers of its source, and where it first does not
gemm_constants: Gemm with constants as the quantization tool wants it
given_quantization: quantizers that a model came with, out of the quantization tool's way
graph_optimization: shape inference, and the runtime's basic optimization: constants and batch norm folded
inline_functions: A model's own functions, unfolded where they are called
made_up_samples: samples for a model whose real ones are not at hand, tried until the model runs on some
observed_shapes: shapes and types of a model's tensors as real runs show them
opset_upgrade: A model of an old operator set -> the same in one that quantization can work with
recorded_shapes: types and shapes of a model's tensors, written into the model as real runs show them
resize_axes: resize nodes that name their axes -> the same over all axes
rewrite_steps: the steps in order, each compared with the source
source_session: the source model in a session, with its refusals told in the user's words
tensor_size_check: refuses tensors that no memory holds, by their shapes, before anything is allocated
weight_ownership: a weight of its own for each reader
"""
