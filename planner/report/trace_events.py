"""Spans of time as a file in the Trace Event Format, which Chrome (chrome://tracing) and Perfetto show."""

from collections.abc import Mapping

import msgspec

from planner.formatting import MICRO
from planner.json_record import Record

MEASURED, PREDICTED = 1, 2  # process numbers
_PROCESSES = {MEASURED: "measured", PREDICTED: "predicted"}


class TraceEvent(Record, frozen=True, kw_only=True):
    """A span or a name, under the format's own keys; times in microseconds."""

    name: str
    ph: str
    pid: int
    tid: int
    ts: float = 0.0
    dur: float = 0.0
    args: dict[str, str] = msgspec.field(default_factory=dict)


class Trace(Record, frozen=True, kw_only=True):
    """The whole file."""

    traceEvents: tuple[TraceEvent, ...]  # noqa: N815 (the format's key)
    displayTimeUnit: str = "ms"  # noqa: N815


class TraceLanes:
    """Collects spans in lanes, which get numbers as they are met, in two groups: measured and predicted."""

    def __init__(self) -> None:
        self._lanes: dict[str, int] = {}
        self._spans: list[TraceEvent] = []

    def add(
        self, process: int, lane: str, name: str, begin_s: float, seconds: float, args: Mapping[str, str]
    ) -> None:
        """Add a span.

        Parameters
        ----------
        process
            `MEASURED` or `PREDICTED`.
        lane
            A device or a link.
        """
        self._spans.append(
            TraceEvent(
                name=name,
                ph="X",
                pid=process,
                tid=self._lanes.setdefault(lane, len(self._lanes)),
                ts=begin_s * MICRO,
                dur=max(seconds, 0.0) * MICRO,
                args=dict(args),
            )
        )

    def trace(self) -> Trace:
        """Return what was added, with the names of groups and lanes."""
        names: list[TraceEvent] = []
        for process, group in _PROCESSES.items():
            names.append(TraceEvent(name="process_name", ph="M", pid=process, tid=0, args={"name": group}))
            for lane, number in self._lanes.items():
                names.append(
                    TraceEvent(name="thread_name", ph="M", pid=process, tid=number, args={"name": lane})
                )
        return Trace(traceEvents=(*names, *self._spans))
