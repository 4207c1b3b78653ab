"""What running hosts showed of links and devices, for planning again: `measured.json` of a deployment."""

import msgspec

from planner.json_record import Record

FORMAT = 1


class MeasuredLink(Record, frozen=True, kw_only=True):
    """A link of the scenario as messages between hosts saw it; None for what nothing showed."""

    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    bandwidth_mbit_per_s: float | None
    latency_ms: float | None


class MeasuredDevice(Record, frozen=True, kw_only=True):
    """Seconds that a device computed for a request, beside those that were planned for the same stages.

    Parameters
    ----------
    requests
        Of which hosts told everything: the measured seconds are their median.
    """

    device: str
    planned_s: float
    measured_s: float
    requests: int = 0


class MeasuredCosts(Record, frozen=True, kw_only=True):
    """What was measured between the hosts of one deployment."""

    format: int
    deployment: str
    links: tuple[MeasuredLink, ...]
    devices: tuple[MeasuredDevice, ...] = ()
