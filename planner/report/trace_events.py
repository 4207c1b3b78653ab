"""Spans of time as a file in the Trace Event Format, which Chrome (chrome://tracing) and Perfetto show."""

from collections.abc import Iterator, Mapping

import msgspec

from planner.formatting import MICRO
from planner.json_record import Record

PREDICTED, MEASURED = 1, 2  # process numbers, in the order in which viewers show them
_PROCESSES = {PREDICTED: "predicted", MEASURED: "measured"}


class TraceEvent(Record, frozen=True, kw_only=True):
    """A span or a name, under the format's own keys; times in microseconds."""

    name: str
    ph: str
    pid: int
    tid: int
    ts: float = 0.0
    dur: float = 0.0
    args: dict[str, str | int] = msgspec.field(default_factory=dict)


class Trace(Record, frozen=True, kw_only=True):
    """The whole file."""

    traceEvents: tuple[TraceEvent, ...]  # noqa: N815 (the format's key)
    displayTimeUnit: str = "ms"  # noqa: N815


class TraceLanes:
    """Collects spans in lanes, which get numbers as they are met, in two groups: predicted and measured."""

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
            `PREDICTED` or `MEASURED`.
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
        """Return what was added, with the names and the order of groups and lanes.

        Predicted spans stand above measured ones, and lanes in the order in which they were met.
        """
        told: list[TraceEvent] = []
        for process, group in _PROCESSES.items():
            told.extend(_about("process", process, 0, group, process))
            for lane, number in self._lanes.items():
                told.extend(_about("thread", process, number, lane, number))
        return Trace(traceEvents=(*told, *self._spans))


def _about(what: str, process: int, lane: int, name: str, rank: int) -> Iterator[TraceEvent]:
    """Yield what a viewer is told of a process or a thread: its name, and its rank among its like."""
    facts: tuple[tuple[str, dict[str, str | int]], ...] = (
        ("name", {"name": name}),
        ("sort_index", {"sort_index": rank}),
    )
    for fact, args in facts:
        yield TraceEvent(name=f"{what}_{fact}", ph="M", pid=process, tid=lane, args=args)
