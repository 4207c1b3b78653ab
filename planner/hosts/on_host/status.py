"""What a host tells of itself: memory, and what its links let through."""

from __future__ import annotations

from pathlib import Path

_SHARE = 0.2  # of the newest message in the average
_LEAST_BYTES = 4096  # below, a message says more about latency than about bandwidth
_PAGES_PER_MIB = 256


class LinkSeen:
    """Bytes and seconds of the messages to one neighbour."""

    def __init__(self) -> None:
        self._messages = self._bytes = 0
        self._bytes_per_s: float | None = None

    def add(self, size_bytes: int, seconds: float) -> None:
        """Take a message into account that was accepted after some seconds."""
        self._messages += 1
        self._bytes += size_bytes
        if size_bytes >= _LEAST_BYTES and seconds > 0:
            seen = size_bytes / seconds
            old = self._bytes_per_s
            self._bytes_per_s = seen if old is None else old + _SHARE * (seen - old)

    def record(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"messages": self._messages, "bytes": self._bytes, "bytes_per_s": self._bytes_per_s}


def resident_mib() -> float | None:
    """Return the resident memory of this process; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages / _PAGES_PER_MIB
