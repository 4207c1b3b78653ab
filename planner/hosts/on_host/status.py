"""What a host tells of itself: memory, what its links let through, and its answers to who asks."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from planner.hosts.on_host.link_probe import LinkBandwidth, Transfer
from planner.hosts.on_host.messages import Busy
from planner.hosts.on_host.network import STATUS, Incoming, Network, Outcome

_PAGES_PER_MIB = 256
_MOST_WAITING, _AT_ONCE = 32, 2
_STATUS_S, _PROBE_S = 3.0, 20.0


class LinkSeen:
    """Bytes and seconds of the messages to one neighbour.

    Parameters
    ----------
    message_bytes
        What a message weighs beside its header and content.
    """

    def __init__(self, message_bytes: int) -> None:
        self._messages = self._bytes = 0
        self._bandwidth = LinkBandwidth(message_bytes)

    def add(self, transfer: Transfer) -> None:
        """Take a message into account that was accepted."""
        self._messages += 1
        self._bytes += transfer.size_bytes
        self._bandwidth.add(transfer)

    def probed(self, bytes_per_s: float) -> None:
        """Take the outcome of a probe into account."""
        self._bandwidth.set(bytes_per_s, time.monotonic())

    def record(self) -> dict[str, object]:
        """Return it for JSON."""
        seen_at_s = self._bandwidth.seen_at_s
        return {
            "messages": self._messages,
            "bytes": self._bytes,
            "bytes_per_s": self._bandwidth.bytes_per_s,
            "seen_s_ago": None if seen_at_s is None else time.monotonic() - seen_at_s,
        }


class StatusAnswers:
    """Answers who asks for a status, on threads of its own: it may have to ask a neighbour first.

    Parameters
    ----------
    next_hop
        Device -> the neighbour on the way there.
    status
        Gives this host's own.
    probe
        Measures the connections to neighbours that an order names.
    """

    def __init__(
        self,
        network: Network,
        device: str,
        next_hop: Mapping[str, str],
        status: Callable[[], Mapping[str, object]],
        probe: Callable[[bytes], None],
    ) -> None:
        self._probe = probe
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
        """Answer with this host's status, or with that of the host that is asked for.

        What comes with the question orders that host to measure connections first.
        """
        device = message.header.decode(errors="replace")
        if device in {"", self._device}:
            self._probe(message.payload)
            message.accept(json.dumps(self._status()).encode())
            return
        next_hop = self._next_hop.get(device)
        if next_hop is None:
            message.refuse(f"{self._device}: knows no host {device!r}")
            return
        timeout_s = _PROBE_S if message.payload else _STATUS_S
        reply = self._network.send(next_hop, STATUS, device.encode(), message.payload, timeout_s)
        if reply.outcome is Outcome.ACCEPTED:
            message.accept(reply.data)
        else:
            message.refuse(reply.reason or f"{self._device} does not reach {next_hop}")


def resident_mib() -> float | None:
    """Return the resident memory of this process; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages / _PAGES_PER_MIB
