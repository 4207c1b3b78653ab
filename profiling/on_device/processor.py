"""The processor of this machine: its name and cores."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cpu_description() -> str:
    """Return the name of this machine's processor, its architecture and number of cores."""
    return f"{_cpu_name()} ({platform.machine()}, {os.cpu_count()} cores)"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
