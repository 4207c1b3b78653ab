"""Whether int8 kernels overflow on this machine, found out by running one."""

from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper, parser

from profiling.on_device.int8_overflow import int8_overflows
from profiling.runtime.open_session import Runtime, open_session

_DEPTH = 64  # products per sum: a pair of them is enough to overflow
_COLUMNS = 16
_MODEL = f"""
<ir_version: 8, opset_import: ["" : 17]>
probe (uint8[1, {_DEPTH}] x) => (int32[1, {_COLUMNS}] y)
{{
    y = MatMulInteger(x, w)
}}
"""


def overflow_probe_model() -> onnx.ModelProto:
    """Return the model that `int8_overflows` runs: a product with the largest weights there are.

    x: uint8 [1, 64] -> y: int32 [1, 16].
    """
    model = parser.parse_model(_MODEL)
    weights = np.full((_DEPTH, _COLUMNS), np.iinfo(np.int8).max, dtype=np.int8)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return model


@cache
def this_cpu_overflows(runtime: Runtime) -> bool:
    """Return whether int8 kernels overflow on this machine with 8-bit weights.

    x86 processors without VNNI add pairs of uint8 x int8 products in 16 bits: 2 * 255 * 127 does not fit,
    with 7-bit weights 2 * 255 * 64 does. See "Quantize ONNX models" in ONNX Runtime's documentation.
    """
    return int8_overflows(open_session(overflow_probe_model(), runtime))
