"""Whether int8 kernels overflow on this machine, found out by running one."""

import numpy as np
from onnx import numpy_helper, parser

from profiling.session import Runtime, open_session

_DEPTH = 64
_MODEL = f"""
<ir_version: 8, opset_import: ["" : 17]>
probe (uint8[1, {_DEPTH}] x) => (int32[1, 16] y)
{{
    y = MatMulInteger(x, w)
}}
"""


def int8_saturates(runtime: Runtime) -> bool:
    """Return whether uint8 x int8 products lose carries here.

    x86 processors without VNNI add pairs of products in 16 bits, which overflows for large 8-bit
    weights; 7-bit weights (`reduce_range`) never do. See "Quantize ONNX models" in ONNX Runtime's
    documentation.
    """
    model = parser.parse_model(_MODEL)
    weights = np.full((_DEPTH, 16), 127, dtype=np.int8)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    session = open_session(model, runtime)
    (y,) = session.run(None, {"x": np.full((1, _DEPTH), 255, dtype=np.uint8)})
    return bool((y != 255 * 127 * _DEPTH).any())
