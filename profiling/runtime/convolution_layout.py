"""In which layout ONNX Runtime computes float convolutions on this machine, found out by opening one."""

from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper, parser

from profiling.directories import temporary_folder
from profiling.runtime.open_session import Runtime, Trace, open_session

_BLOCKED_DOMAIN = "com.microsoft.nchwc"
_CHANNELS, _KERNEL = 16, 3  # a block has 8 or 16 channels
_MODEL = f"""
<ir_version: 8, opset_import: ["" : 17]>
probe (float[1, {_CHANNELS}, 4, 4] x) => (float[1, {_CHANNELS}, 4, 4] y)
{{
    y = Conv <pads = [1, 1, 1, 1]> (x, w)
}}
"""


@cache
def has_blocked_layout(runtime: Runtime) -> bool:
    """Return whether the runtime computes float convolutions of this machine in its blocked layout (NCHWc).

    It does on x86 processors, and has an operator domain of its own for that.

    Raises
    ------
    ModelError
        If the runtime lacks the provider.
    """
    model = parser.parse_model(_MODEL)
    weight = np.ones((_CHANNELS, _CHANNELS, _KERNEL, _KERNEL), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    with temporary_folder("layout-") as folder:
        optimized = folder / "optimized.onnx"
        open_session(model, runtime, trace=Trace(optimized_model=optimized))
        return any(node.domain == _BLOCKED_DOMAIN for node in onnx.load(optimized).graph.node)
