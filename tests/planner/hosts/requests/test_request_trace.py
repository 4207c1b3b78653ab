import json

import msgspec
import pytest
from made_records import made_manifest

from planner.hosts.requests.request_times import RequestTimes, Span, SpanKind
from planner.hosts.requests.request_trace import request_trace

CUT = msgspec.structs.replace(
    made_manifest().cuts[0], tensor="relu2", path=("camera", "gateway", "server"), seconds=0.03
)
TIMES = RequestTimes(
    0.02,
    (
        Span(SpanKind.STAGE, "0", "camera", "", 5.0, 5.002),
        Span(SpanKind.LINK, "relu2", "camera", "gateway", 5.003, 5.004),
        Span(SpanKind.LINK, "relu2", "gateway", "server", 5.004, 5.006),
        Span(SpanKind.STAGE, "1", "server", "", 5.007, 5.010),
        Span(SpanKind.STAGE, "2", "server", "", 5.010, 5.011),
    ),
)


def spans(trace, process: str) -> list[dict]:
    events = json.loads(msgspec.json.encode(trace))["traceEvents"]
    numbers = {e["args"]["name"]: e["pid"] for e in events if e["name"] == "process_name"}
    return [e for e in events if e["ph"] == "X" and e["pid"] == numbers[process]]


def test_each_device_and_each_link_has_a_lane_in_microseconds_from_the_first_span():
    trace = request_trace([TIMES, TIMES], [CUT], {})
    events = json.loads(msgspec.json.encode(trace))["traceEvents"]
    lanes = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    found = [
        (lanes[e["pid"], e["tid"]], e["name"], round(e["ts"]), round(e["dur"]))
        for e in spans(trace, "measured")
    ]
    one = [
        ("camera", "stage 0", 0, 2000),
        ("camera > gateway", "relu2", 3000, 1000),
        ("gateway > server", "relu2", 4000, 2000),
        ("server", "stage 1", 7000, 3000),
        ("server", "stage 2", 10000, 1000),
    ]
    assert found == one * 2
    assert [e["args"]["request"] for e in spans(trace, "measured")] == ["0"] * 5 + ["1"] * 5


def test_predicted_seconds_of_a_device_or_a_way_are_shared_out_by_what_their_parts_took():
    predicted = spans(request_trace([TIMES], [CUT], {"camera": 0.001, "server": 0.008}), "predicted")
    taken = [(e["name"], e["dur"]) for e in predicted]
    assert taken == [
        ("stage 0", pytest.approx(1000)),
        ("relu2", pytest.approx(10_000)),
        ("relu2", pytest.approx(20_000)),
        ("stage 1", pytest.approx(6000)),
        ("stage 2", pytest.approx(2000)),
    ]


def test_what_is_not_predicted_has_measured_spans_alone():
    assert spans(request_trace([TIMES], [], {}), "predicted") == []


def test_clocks_that_disagree_give_no_negative_span():
    back = RequestTimes(0.0, (Span(SpanKind.LINK, "x", "a", "b", 2.0, 1.999),))
    assert [e["dur"] for e in spans(request_trace([back], [], {}), "measured")] == [0.0]


def test_no_requests_are_an_empty_trace():
    assert spans(request_trace([], [], {}), "measured") == []
