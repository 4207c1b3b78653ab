"""Requests as a trace in the Trace Event Format, which Chrome (chrome://tracing) and Perfetto show."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from planner.hosts.requests.request_times import RequestTimes, Span, SpanKind
from planner.json_record import Record
from planner.plan.plan_record import Cut

_MICRO = 1e6
_MEASURED, _PREDICTED = 1, 2  # process numbers
_PROCESSES = {_MEASURED: "measured", _PREDICTED: "predicted"}


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


def request_trace(
    requests: Sequence[RequestTimes], cuts: Sequence[Cut], compute_s: Mapping[str, float]
) -> Trace:
    """Return requests as lanes, one for each device and link: as measured, and as long as predicted.

    What is predicted begins where the measured span does. A device's predicted seconds are those of all its
    stages; they are shared out by what each of them took.

    Parameters
    ----------
    cuts
        Of the plan, with the predicted seconds of each tensor on its way.
    compute_s
        Device -> predicted seconds of its stages.
    """
    begin_s = min((span.begin_s for times in requests for span in times.spans), default=0.0)
    lanes: dict[str, int] = {}
    events = [
        event
        for number, times in enumerate(requests)
        for event in _of_request(number, times, begin_s, lanes, _predicted(times, cuts, compute_s))
    ]
    return Trace(traceEvents=(*_names(lanes), *events))


def _of_request(
    number: int,
    times: RequestTimes,
    begin_s: float,
    lanes: dict[str, int],
    predicted_s: Mapping[Span, float],
) -> Iterator[TraceEvent]:
    """Yield a request's spans; lanes get numbers as they are met."""
    for span in times.spans:
        is_stage = span.kind is SpanKind.STAGE
        name = f"stage {span.subject}" if is_stage else span.subject
        lane = lanes.setdefault(span.device if is_stage else f"{span.device} > {span.other}", len(lanes))
        for process, seconds in ((_MEASURED, span.seconds), (_PREDICTED, predicted_s.get(span))):
            if seconds is not None:
                yield TraceEvent(
                    name=name,
                    ph="X",
                    pid=process,
                    tid=lane,
                    ts=(span.begin_s - begin_s) * _MICRO,
                    dur=max(seconds, 0.0) * _MICRO,
                    args={"request": str(number)},
                )


def _names(lanes: Mapping[str, int]) -> Iterator[TraceEvent]:
    """Yield what the two groups of lanes and the lanes are called."""
    for process, name in _PROCESSES.items():
        yield TraceEvent(name="process_name", ph="M", pid=process, tid=0, args={"name": name})
        for lane, number in lanes.items():
            yield TraceEvent(name="thread_name", ph="M", pid=process, tid=number, args={"name": lane})


def _predicted(times: RequestTimes, cuts: Sequence[Cut], compute_s: Mapping[str, float]) -> dict[Span, float]:
    """Return what each span should take; a tensor's way over several links is shared out likewise."""
    way_of = {(cut.tensor, *hop): cut for cut in cuts for hop in zip(cut.path, cut.path[1:], strict=False)}
    taken: dict[object, float] = {}
    found: dict[Span, float] = {}
    for span in times.spans:
        taken[_whole(span, way_of)] = taken.get(_whole(span, way_of), 0.0) + max(span.seconds, 0.0)
    for span in times.spans:
        cut = way_of.get((span.subject, span.device, span.other))
        seconds = None if cut is None else cut.seconds
        if span.kind is SpanKind.STAGE:
            seconds = compute_s.get(span.device)
        whole_s = taken[_whole(span, way_of)]
        if seconds is not None:
            found[span] = seconds * max(span.seconds, 0.0) / whole_s if whole_s else seconds
    return found


def _whole(span: Span, way_of: Mapping[tuple[str, str, str], Cut]) -> object:
    """Return what a span is a part of: all stages of a device, or a tensor's whole way."""
    if span.kind is SpanKind.STAGE:
        return span.device
    cut = way_of.get((span.subject, span.device, span.other))
    return (span.subject, span.device, span.other) if cut is None else (cut.tensor, cut.path)
