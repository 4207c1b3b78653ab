"""The processor of this machine: its name and cores, and whether its int8 kernels overflow."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime as ort


def cpu_description() -> str:
    """Return the name of this machine's processor, its architecture and number of cores."""
    return f"{_cpu_name()} ({platform.machine()}, {os.cpu_count()} cores)"


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


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
