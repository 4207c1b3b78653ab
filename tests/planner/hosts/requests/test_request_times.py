"""Seconds of stages and links, and what they are beside the plan, from events with known times."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import made_manifest

from planner.errors import HostError
from planner.hosts.requests.measure_requests import percentiles
from planner.hosts.requests.request_events import Event
from planner.hosts.requests.request_times import SpanKind, request_times

MS = 1_000_000
HOUR_NS = 3_600 * 1000 * MS


def events(server_ns: int = 0) -> list[Event]:
    """Return a request's: 2 ms on the camera, 5 there, 3 on the server, 1 back."""
    camera = [
        ("received", "camera", "x", "client-1", 0),
        ("started", "camera", "0", "", 1),
        ("finished", "camera", "0", "", 3),
        ("sent", "camera", "relu2", "server", 4),
    ]
    server = [
        ("received", "server", "relu2", "camera", 9),
        ("started", "server", "1", "", 10),
        ("finished", "server", "1", "", 13),
        ("sent", "server", "y", "camera", 14),
    ]
    back = [("received", "camera", "y", "server", 15)]
    return [
        Event(kind, device, subject, other, ms * MS + (server_ns if device == "server" else 0))
        for kind, device, subject, other, ms in (*camera, *server, *back)
    ]


@given(st.integers(-HOUR_NS, HOUR_NS), st.randoms())
def test_parts_are_told_whatever_the_clocks_and_the_order(offset_ns, random):
    told = events(offset_ns)
    random.shuffle(told)
    times = request_times(told, made_manifest(), {"camera": 0.0, "server": offset_ns / 1e9})
    assert times.latency_s == pytest.approx(0.015, abs=1e-5)
    assert times.overhead_s == pytest.approx(0.004, abs=1e-5)
    found = [(span.kind, span.subject, span.device, round(span.seconds * 1000)) for span in times.spans]
    assert found == [
        (SpanKind.STAGE, "0", "camera", 2),
        (SpanKind.LINK, "relu2", "camera", 5),
        (SpanKind.STAGE, "1", "server", 3),
        (SpanKind.LINK, "y", "server", 1),
    ]


def test_a_sink_elsewhere_ends_a_request_where_its_stage_ends():
    manifest = msgspec.structs.replace(made_manifest(), sink="server")
    assert request_times(events(), manifest, {}).latency_s == pytest.approx(0.013, abs=1e-5)


def test_handing_a_tensor_on_belongs_to_its_way_and_parallel_work_counts_once():
    told = [
        Event("received", "camera", "x", "client-1", 0),
        Event("sent", "camera", "x", "gateway", 1 * MS),
        Event("started", "camera", "0", "", 2 * MS),
        Event("received", "gateway", "x", "camera", 3 * MS),
        Event("sent", "gateway", "x", "server", 5 * MS),
        Event("finished", "camera", "0", "", 7 * MS),
        Event("received", "server", "x", "gateway", 8 * MS),
        Event("sent", "camera", "y", "gateway", 30 * MS),  # what ends after the answer counts until it
        Event("received", "camera", "y", "server", 10 * MS),
        Event("received", "gateway", "y", "camera", 31 * MS),
    ]
    times = request_times(told, made_manifest(), {})
    assert times.latency_s == pytest.approx(0.010)
    assert times.overhead_s == pytest.approx(0.001 + 0.002)


def test_events_that_are_missing_are_no_times():
    with pytest.raises(HostError, match="did not tell"):
        request_times([], made_manifest(), {})
    some = [event for event in events() if event.kind != "sent"]
    assert [span.kind for span in request_times(some, made_manifest(), {}).spans] == [SpanKind.STAGE] * 2


def test_percentiles_of_known_seconds():
    assert percentiles([]) is None
    found = percentiles([n / 100 for n in range(101)])
    assert (found.p50_s, found.p90_s, found.p99_s) == pytest.approx((0.5, 0.9, 0.99))
