"""Requests as a trace: stages on devices and tensors on links, measured and predicted."""

from collections.abc import Mapping, Sequence

from planner.hosts.requests.request_times import RequestTimes, Span, SpanKind
from planner.plan.plan_record import Cut
from planner.report.trace_events import MEASURED, PREDICTED, Trace, TraceLanes


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
    lanes = TraceLanes()
    for number, times in enumerate(requests):
        _add_request(lanes, number, times, begin_s, _predicted(times, cuts, compute_s))
    return lanes.trace()


def _add_request(
    lanes: TraceLanes, number: int, times: RequestTimes, begin_s: float, predicted_s: Mapping[Span, float]
) -> None:
    for span in times.spans:
        is_stage = span.kind is SpanKind.STAGE
        name = f"stage {span.subject}" if is_stage else span.subject
        lane = span.device if is_stage else f"{span.device} > {span.other}"
        for process, seconds in ((MEASURED, span.seconds), (PREDICTED, predicted_s.get(span))):
            if seconds is not None:
                lanes.add(process, lane, name, span.begin_s - begin_s, seconds, {"request": str(number)})


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
