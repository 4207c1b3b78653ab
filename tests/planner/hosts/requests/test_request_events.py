"""What hosts told of requests: kept within bounds, named, and complete or not."""

import msgspec
import networkx as nx
import pytest
from made_records import made_manifest

from planner.hosts.on_host.event_log import NOBODY, EventKind, HostEvent, RequestEvents
from planner.hosts.requests.request_events import (
    Event,
    ToldRequests,
    expected_events,
    is_complete,
    named_events,
)

DEVICES = ("camera", "server")
LINKS = nx.DiGraph([("camera", "server"), ("server", "camera")])


def name(number: int) -> str:
    return f"{number:032x}"


def entry(request: int, *events: HostEvent) -> RequestEvents:
    return RequestEvents(name(request), 1, events)


def test_only_what_is_expected_is_kept_and_each_once():
    told = ToldRequests(len(DEVICES))
    told.expect(name(1))
    first, second = (entry(1, HostEvent(EventKind.SENT, number, 0, 5)) for number in (1, 2))
    told.take([first, entry(2), second, first])
    assert told.of(name(1)) == [first, second]
    assert told.of(name(2)) == []
    told.forget(name(1))
    assert len(told) == 0


def test_what_is_told_stays_within_bounds():
    told = ToldRequests(len(DEVICES))
    for number in range(20_000):
        told.expect(name(number))
    assert len(told) <= 16_384
    told.take(entry(19_999, HostEvent(EventKind.SENT, 0, 0, number)) for number in range(1000))
    assert len(told.of(name(19_999))) <= 64


def test_numbers_get_names_and_a_tensor_that_the_plan_does_not_have_is_left_out():
    told = [
        entry(
            1,
            HostEvent(EventKind.RECEIVED, 4, 0, 1),
            HostEvent(EventKind.STARTED, 7, NOBODY, 2),
            HostEvent(EventKind.SENT, 99, 0, 3),
        )
    ]
    assert named_events(told, DEVICES, {"relu2": 4}) == (
        Event("received", "server", "relu2", "camera", 1),
        Event("started", "server", "7", "", 2),
    )


TOLD = [
    Event(*what, 0)
    for what in (
        ("received", "camera", "x", ""),
        ("started", "camera", "0", ""),
        ("finished", "camera", "0", ""),
        ("sent", "camera", "relu2", "server"),
        ("received", "server", "relu2", "camera"),
        ("started", "server", "1", ""),
        ("finished", "server", "1", ""),
        ("sent", "server", "y", "camera"),
        ("received", "camera", "y", "server"),
    )
]


@pytest.mark.parametrize(("sink", "needed"), [("camera", TOLD), ("server", TOLD[:-2])])
def test_a_request_is_complete_once_all_that_its_times_need_is_told(sink, needed):
    expected = expected_events(msgspec.structs.replace(made_manifest(), sink=sink), LINKS)
    assert is_complete(TOLD, expected)
    assert is_complete(needed, expected)
    for number in range(len(needed)):
        assert not is_complete(needed[:number] + needed[number + 1 :], expected)
