"""Whether int8 kernels overflow on this machine, found out by running one."""

from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper, parser

from profiling.on_device.sessions import int8_overflows
from profiling.runtime.session import Runtime, open_session

_DEPTH = 64
_PROBE = f"""
<ir_version: 8, opset_import: ["" : 17]>
probe (uint8[1, {_DEPTH}] x) => (int32[1, 16] y)
{{
    y = MatMulInteger(x, w)
}}
"""


def overflow_probe_model() -> onnx.ModelProto:
    """Return the model that `int8_overflows` runs: the largest weights there are."""
    model = parser.parse_model(_PROBE)
    weights = np.full((_DEPTH, 16), 127, dtype=np.int8)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return model


@cache
def this_cpu_overflows(runtime: Runtime) -> bool:
    """Return whether int8 kernels overflow on this machine with 8-bit weights."""
    return int8_overflows(open_session(overflow_probe_model(), runtime))
