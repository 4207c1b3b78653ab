"""How much memory this process may still take."""

import os
import sys
from pathlib import Path

_KIBI = 1024
_MEMORY, _STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Return the memory that the system, a container's limit and this process's own limit leave."""
    return max(0, min(_of_system(), _of_container(), _of_process()))


def _of_system() -> int:
    known = _field(_MEMORY, "MemAvailable")
    if known is not None:
        return known
    if sys.platform == "win32":  # what does not fit is told by the allocation that fails
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_container() -> int:
    try:
        limit = (_GROUP / "memory.max").read_text().strip()
        used = (_GROUP / "memory.current").read_text().strip()
        return int(limit) - int(used)
    except (OSError, ValueError):  # no container, or no limit ("max")
        return _of_system()


def _of_process() -> int:
    if sys.platform == "win32":
        return _of_system()
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _field(_STATUS, "VmSize")
    return _of_system() if limit == resource.RLIM_INFINITY or used is None else limit - used


def _field(path: Path, name: str) -> int | None:
    """Return a figure of a file of the /proc file system, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((int(line.split()[1]) * _KIBI for line in lines if line.startswith(f"{name}:")), None)
