"""Seconds of stages and links, from what hosts told about a request."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from planner.errors import HostError
from planner.hosts.requests.request_events import Event
from planner.plan.manifest import PlanStages

_NS = 1e-9


class SpanKind(StrEnum):
    """What took the time."""

    STAGE = "stage"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Span:
    """A stage that ran, or a tensor on a link; times by the source's clock, in seconds.

    Parameters
    ----------
    subject
        The stage's number, or the tensor's name.
    device, other
        Where it ran; or from where to where it went.
    """

    kind: SpanKind
    subject: str
    device: str
    other: str
    begin_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end_s - self.begin_s


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """What one request took.

    Parameters
    ----------
    latency_s
        From its last input at the source to its last output at the sink.
    overhead_s
        Of it, the time in which no stage ran and no tensor was on its way: what hosts take for themselves.
    """

    latency_s: float
    spans: tuple[Span, ...]
    overhead_s: float = 0.0


def request_times(
    events: Sequence[Event], manifest: PlanStages, offsets_s: Mapping[str, float]
) -> RequestTimes:
    """Return what a request took.

    Parameters
    ----------
    offsets_s
        Device -> its clock minus the source's.

    Raises
    ------
    HostError
        If a host did not tell when its part began or ended.
    """
    told = {
        (event.kind, event.device, event.subject, event.other): event.clock_ns * _NS
        - offsets_s.get(event.device, 0.0)
        for event in events
    }
    spans = sorted(_spans(told), key=lambda span: span.begin_s)
    inputs, outputs = ({port.name for port in ports} for ports in (manifest.inputs, manifest.outputs))
    began = [
        at
        for (kind, device, subject, _), at in told.items()
        if kind == "received" and device == manifest.source and subject in inputs
    ]
    # An output is due where its stage ends, or where it arrives if that runs elsewhere.
    stages = {str(s.number) for s in manifest.stages if any(port.name in outputs for port in s.outputs)}
    ended = [
        at
        for (kind, device, subject, _), at in told.items()
        if device == manifest.sink
        and ((kind == "finished" and subject in stages) or (kind == "received" and subject in outputs))
    ]
    if not began or not ended:
        raise HostError("the hosts did not tell when the request began and ended")
    begin_s, end_s = max(began), max(ended)
    busy_s = _covered_s([*_stages_and_ways(spans)], begin_s, end_s)
    return RequestTimes(end_s - begin_s, tuple(spans), end_s - begin_s - busy_s)


def _stages_and_ways(spans: Sequence[Span]) -> Iterator[tuple[float, float]]:
    """Yield when each span began and ended; a host that hands a tensor on belongs to the tensor's way."""
    handed_on = {(span.subject, span.device): span for span in spans if span.kind is SpanKind.LINK}
    for span in spans:
        yield span.begin_s, span.end_s
        after = handed_on.get((span.subject, span.other))
        if span.kind is SpanKind.LINK and after is not None:
            yield span.begin_s, after.end_s


def _covered_s(intervals: Sequence[tuple[float, float]], begin_s: float, end_s: float) -> float:
    """Return how much of a time lies in at least one interval."""
    covered_s, until_s = 0.0, begin_s
    for interval in sorted(intervals):
        first_s, last_s = max(interval[0], until_s), min(interval[1], end_s)
        if last_s > first_s:
            covered_s += last_s - first_s
            until_s = last_s
    return covered_s


def _spans(told: Mapping[tuple[str, str, str, str], float]) -> Iterator[Span]:
    for (kind, device, subject, other), end_s in told.items():
        if kind == "finished":
            begin_s = told.get(("started", device, subject, other))
            if begin_s is not None:
                yield Span(SpanKind.STAGE, subject, device, other, begin_s, end_s)
        elif kind == "received":
            begin_s = told.get(("sent", other, subject, device))
            if begin_s is not None:
                yield Span(SpanKind.LINK, subject, other, device, begin_s, end_s)
