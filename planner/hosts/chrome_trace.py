"""Requests as a trace that Chrome and Perfetto show: a lane per device and link, measured and predicted.

Format: "Trace Event Format" of the Chromium project, complete events (`ph: X`), times in microseconds.
"""

from collections.abc import Iterator, Sequence

from planner.hosts.request_times import RequestTimes, Span, SpanKind
from planner.plan.manifest import Manifest
from planner.plan.requests_record import RequestsRecord

_MICRO = 1e6
_MEASURED, _PREDICTED = 1, 2


def chrome_trace(
    times: Sequence[RequestTimes], record: RequestsRecord, manifest: Manifest
) -> dict[str, object]:
    """Return a trace of all requests as measured, and of one as predicted, for JSON.

    Predicted parts lie one behind the other in the order of the first request: what overlaps is not told
    by a plan's latency.
    """
    spans = [span for one in times for span in one.spans]
    lanes = {lane: number for number, lane in enumerate(dict.fromkeys(map(_lane, spans)), start=1)}
    start_s = min((span.begin_s for span in spans), default=0.0)
    events: list[dict[str, object]] = []
    for process, name in ((_MEASURED, "measured"), (_PREDICTED, "predicted")):
        events.append({"ph": "M", "name": "process_name", "pid": process, "args": {"name": name}})
        events += [
            {"ph": "M", "name": "thread_name", "pid": process, "tid": number, "args": {"name": lane}}
            for lane, number in lanes.items()
        ]
    for number, one in enumerate(times):
        events += [
            _event(_MEASURED, lanes[_lane(span)], span.subject, span.begin_s - start_s, span.seconds, number)
            for span in one.spans
        ]
    if times:
        events += _predicted(times[0], record, manifest, lanes)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _predicted(
    first: RequestTimes, record: RequestsRecord, manifest: Manifest, lanes: dict[str, int]
) -> Iterator[dict[str, object]]:
    seconds = {(part.part, part.way): part.predicted_s for part in record.parts}
    at_s = 0.0
    for span in first.spans:
        predicted_s = _predicted_s(span, first, seconds, manifest)
        if predicted_s is not None:
            yield _event(_PREDICTED, lanes[_lane(span)], span.subject, at_s, predicted_s, 0)
            at_s += predicted_s


def _predicted_s(
    span: Span,
    first: RequestTimes,
    seconds: dict[tuple[str, tuple[str, ...]], float | None],
    manifest: Manifest,
) -> float | None:
    """Return a span's predicted seconds: its share of its device's, or of its tensor's whole way."""
    if span.kind is SpanKind.STAGE:
        whole, alike = seconds.get(("compute", (span.device,))), [
            other for other in first.spans if other.kind is span.kind and other.device == span.device
        ]  # fmt: skip
    else:
        cut = next(
            (
                cut
                for cut in manifest.cuts
                if (span.device, span.other) in zip(cut.path, cut.path[1:], strict=False)
                and (span.subject == cut.tensor or span.subject.startswith(f"{cut.tensor}_"))
            ),
            None,
        )
        if cut is None:
            return None
        whole, alike = seconds.get((cut.tensor, cut.path)), [
            other for other in first.spans if other.kind is span.kind and other.subject == span.subject
        ]  # fmt: skip
    measured_s = sum(other.seconds for other in alike)
    return None if whole is None or not measured_s else whole * span.seconds / measured_s


def _lane(span: Span) -> str:
    return span.device if span.kind is SpanKind.STAGE else f"{span.device} > {span.other}"


def _event(
    process: int, lane: int, name: str, begin_s: float, seconds: float, request: int
) -> dict[str, object]:
    return {
        "ph": "X", "pid": process, "tid": lane, "name": name,
        "ts": begin_s * _MICRO, "dur": seconds * _MICRO, "args": {"request": request},
    }  # fmt: skip
