"""The most memory that this process has held."""

import sys

_MEBI = 2**20


def peak_mib() -> float | None:
    """Return it in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / _MEBI if sys.platform == "darwin" else most * 1024 / _MEBI
