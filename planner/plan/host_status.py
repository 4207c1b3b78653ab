"""What a host tells of itself."""

from planner.json_record import Record


class LinkStatus(Record, frozen=True, kw_only=True):
    """What a host has seen of its connection to a neighbour.

    Parameters
    ----------
    bytes_per_s
        Of what it sent, header included and latency not; None before anything that shows it.
    seen_s_ago
        Seconds since `bytes_per_s` was seen.
    clock_offset_s
        The neighbour's clock minus its own.
    queue
        Messages that wait to be sent.
    """

    there: bool
    messages: int
    bytes: int
    bytes_per_s: float | None
    seen_s_ago: float | None = None
    round_trip_s: float | None
    clock_offset_s: float | None
    queue: int


class HostStatus(Record, frozen=True, kw_only=True):
    """A host: what it serves, and what it has done since it started.

    Parameters
    ----------
    open, ready
        Requests that it works on, and stages that could run but for another one.
    """

    device: str
    deployment: str
    plans: tuple[str, ...]
    stages: int
    up_s: float
    open: int
    ready: int
    answered: int
    failed: int
    refused: int
    memory_mib: float | None
    links: dict[str, LinkStatus]

    @property
    def offsets_s(self) -> dict[str, float]:
        """Neighbour -> its clock minus this host's, where they have exchanged messages."""
        return {
            name: link.clock_offset_s for name, link in self.links.items() if link.clock_offset_s is not None
        }
