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
    """

    latency_s: float
    spans: tuple[Span, ...]


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
    return RequestTimes(max(ended) - max(began), tuple(spans))


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
