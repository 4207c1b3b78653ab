"""Which form a precision stands for where units read and write floats."""

from collections.abc import Mapping
from dataclasses import replace

from profiling.precision import Precision
from profiling.quantization.block_weights import BlockWeights
from profiling.quantization.dynamic_integers import DynamicIntegers
from profiling.quantization.half_weights import HalfWeights
from profiling.quantization.node_form import NodeForm

_BLOCK = 32  # rows that share a scale: the least that all kernels know; 64 would have a sixth more noise

FORMS: Mapping[Precision, NodeForm] = {
    Precision.INT8_DYNAMIC: DynamicIntegers(),
    Precision.WEIGHTS_INT8: BlockWeights(bits=8, block_size=_BLOCK),
    Precision.WEIGHTS_INT4: BlockWeights(bits=4, block_size=_BLOCK),
    Precision.FLOAT16: HalfWeights(),
}
"""The precisions of ONNX Runtime besides fp32 and the static ones."""


def form_of(precision: Precision, *, reduce_range: bool = False) -> NodeForm:
    """Return the form of a precision with float tensors.

    Parameters
    ----------
    reduce_range
        Whether kernels overflow that multiply 8-bit integers, so that weights use 7 bits there.
    """
    form = FORMS[precision]
    return replace(form, reduce_range=reduce_range) if isinstance(form, DynamicIntegers) else form
