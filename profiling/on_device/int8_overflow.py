"""Whether int8 kernels overflow on this processor."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort


def int8_overflows(probe: ort.InferenceSession) -> bool:
    """Return whether uint8 x int8 products lose carries here, as the largest ones show.

    x86 processors without VNNI add pairs of products in 16 bits, which overflows for large 8-bit
    weights; 7-bit weights never do. See "Quantize ONNX models" in ONNX Runtime's documentation.

    Parameters
    ----------
    probe
        A MatMulInteger of uint8[1, depth] with weights that are all 127.
    """
    (end,) = probe.get_inputs()
    depth = end.shape[1]
    (sums,) = probe.run(None, {end.name: np.full((1, depth), 255, dtype=np.uint8)})
    return bool((sums != 255 * 127 * depth).any())
