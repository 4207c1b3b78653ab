"""The most memory that this process has held."""

import sys
from pathlib import Path

_MEBI, _KIBI = 2**20, 2**10
_STATUS = Path("/proc/self/status")


def peak_mib() -> float | None:
    """Return it in MiB; None where the system does not tell."""
    if _STATUS.is_file():  # Linux: its resource usage begins with that of the process that forked this one
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / _KIBI
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / _MEBI if sys.platform == "darwin" else most / _KIBI
