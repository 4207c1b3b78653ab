"""What a host tells of itself: memory, what its links let through, and its answers to who asks."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from planner.hosts.on_host.messages import Busy
from planner.hosts.on_host.network import STATUS, Incoming, Network, Outcome

_SHARE = 0.2  # of the newest message in the average
_LEAST_BYTES = 4096  # below, a message says more about latency than about bandwidth
_PAGES_PER_MIB = 256
_MOST_WAITING, _AT_ONCE = 32, 2
_STATUS_S = 3.0


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


class StatusAnswers:
    """Answers who asks for a status, on threads of its own: it may have to ask a neighbour first.

    Parameters
    ----------
    next_hop
        Device -> the neighbour on the way there.
    status
        Gives this host's own.
    """

    def __init__(
        self,
        network: Network,
        device: str,
        next_hop: Mapping[str, str],
        status: Callable[[], Mapping[str, object]],
    ) -> None:
        self._network, self._device, self._next_hop, self._status = network, device, next_hop, status
        self._messages: queue.Queue[Incoming] = queue.Queue(_MOST_WAITING)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_AT_ONCE)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def put(self, message: Incoming) -> None:
        """Answer a message soon.

        Raises
        ------
        Busy
            If too many ask.
        """
        try:
            self._messages.put_nowait(message)
        except queue.Full as exc:
            raise Busy("too many ask for its status") from exc

    def _work(self) -> None:
        while True:
            self._answer(self._messages.get())

    def _answer(self, message: Incoming) -> None:
        """Answer with this host's status, or with that of the host that is asked for."""
        device = message.header.decode(errors="replace")
        if device in {"", self._device}:
            message.accept(json.dumps(self._status()).encode())
            return
        next_hop = self._next_hop.get(device)
        if next_hop is None:
            message.refuse(f"{self._device}: knows no host {device!r}")
            return
        reply = self._network.send(next_hop, STATUS, device.encode(), b"", _STATUS_S)
        if reply.outcome is Outcome.ACCEPTED:
            message.accept(reply.data)
        else:
            message.refuse(reply.reason or f"{next_hop} cannot be reached")


def resident_mib() -> float | None:
    """Return the resident memory of this process; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages / _PAGES_PER_MIB
