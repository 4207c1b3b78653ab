"""Events are told once and within bounds; bytes are events again, or BadMessageError."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hosts.on_host.event_log import (
    MOST_TOLD_BYTES,
    NOBODY,
    AskedBy,
    EventKind,
    EventLog,
    HostEvent,
    RequestEvents,
    in_messages,
    told_bytes,
    told_events,
)
from planner.hosts.on_host.messages import BadMessageError

DEVICES = 3
requests = st.binary(min_size=16, max_size=16).map(bytes.hex)
numbers = st.integers(0, 2**16 - 1)
devices = st.integers(0, DEVICES - 1)
events = st.builds(
    HostEvent, st.sampled_from(EventKind), numbers, devices | st.just(NOBODY), st.integers(0, 2**64 - 1)
)
entries = st.builds(RequestEvents, requests, devices, st.lists(events, max_size=8).map(tuple))


def name(number: int) -> str:
    return f"{number:032x}"


def sent(number: int = 0, clock_ns: int = 1) -> HostEvent:
    return HostEvent(EventKind.SENT, number, 1, clock_ns)


def closed(request: str) -> bool:
    return False


@given(st.lists(entries, max_size=8))
def test_entries_come_back(told):
    data = told_bytes(told)
    assert told_events(data, DEVICES) == told
    assert len(data) == sum(one.size_bytes for one in told)


@given(st.binary(max_size=300))
def test_any_bytes_are_events_or_a_bad_message(data):
    with contextlib.suppress(BadMessageError):
        assert told_bytes(told_events(data, DEVICES)) == data


ENTRY = RequestEvents(name(1), 2, (sent(),))


@pytest.mark.parametrize(
    "data",
    [
        told_bytes([ENTRY])[:-1],
        told_bytes([ENTRY]) + b"\0",
        told_bytes([RequestEvents(name(1), DEVICES, ())]),
        told_bytes([RequestEvents(name(1), 0, (HostEvent(EventKind.SENT, 0, DEVICES, 1),))]),
        told_bytes([ENTRY]).replace(bytes([EventKind.SENT, 0, 0, 0, 1]), b"\7\0\0\0\1"),
        told_bytes([RequestEvents(name(1), 0, ())]) * (MOST_TOLD_BYTES // 19 + 1),
    ],
)
def test_what_is_cut_off_too_long_or_of_no_device_is_a_bad_message(data):
    with pytest.raises(BadMessageError):
        told_events(data, DEVICES)


@given(st.lists(st.integers(1, 40) | st.just(255), max_size=12))
def test_messages_hold_all_entries_in_order_and_are_small(counts):
    told = [RequestEvents(name(n), 0, (sent(),) * count) for n, count in enumerate(counts)]
    groups = list(in_messages(told))
    assert [entry for group in groups for entry in group] == told
    for group in groups:
        assert told_events(told_bytes(group), DEVICES) == group


def test_events_are_told_once_and_only_when_the_request_is_done_with():
    log = EventLog(2)
    log.add(name(1), sent(1), 10.0)
    log.add(name(1), sent(2), 10.1)
    log.add(name(2), sent(3), 10.0)
    assert log.pop_due(10.15, closed) == []  # its last tensor may still be on its way
    assert log.pop_due(11.0, lambda request: request == name(2)) == [
        RequestEvents(name(1), 2, (sent(1), sent(2)))
    ]
    assert log.pop_due(12.0, closed) == [RequestEvents(name(2), 2, (sent(3),))]
    assert log.pop_due(13.0, closed) == []
    assert len(log) == 0


def test_an_event_that_comes_again_keeps_its_first_time():
    log = EventLog(0)
    assert log.add(name(1), sent(1, 5), 0.0)
    assert not log.add(name(1), sent(1, 9), 0.0)
    assert log.pop_due(1.0, closed)[0].events == (sent(1, 5),)


def test_a_request_of_many_events_is_told_in_parts():
    log = EventLog(0)
    for number in range(700):
        log.add(name(1), sent(number), 0.0)
    told = log.pop_due(1.0, closed)
    assert [one.number for entry in told for one in entry.events] == list(range(700))
    assert told_events(told_bytes(told[:1]), DEVICES) == told[:1]


def test_what_failed_is_forgotten():
    log = EventLog(0)
    log.add(name(1), sent(), 0.0)
    log.forget(name(1))
    log.forget(name(2))
    assert log.pop_due(1.0, closed) == []


def test_what_nobody_takes_stays_within_bounds():
    log = EventLog(0)
    for number in range(10_000):
        log.add(name(number), sent(), 0.0)
    assert len(log) <= 4096
    log = EventLog(0)
    for number in range(10_000):
        log.take([RequestEvents(name(number), 1, (sent(),) * 255)])
    told = log.pop_due(1.0, closed)
    assert sum(one.size_bytes for one in told) <= 2**20
    assert told[-1].request == name(9999)


def test_clients_are_told_of_their_own_requests_and_a_client_that_has_gone_of_none():
    asked = AskedBy()
    for number in range(4):
        asked.note(name(number), f"client-{number % 2}")
    told = [RequestEvents(name(number), 0, ()) for number in range(6)]
    assert asked.by_client(told) == {
        "client-0": [told[0], told[2]],
        "client-1": [told[1], told[3]],
    }
    asked.forget("client-0")
    assert list(asked.by_client(told)) == ["client-1"]
    assert len(asked) == 2
    for number in range(20_000):
        asked.note(name(number), "client-2")
    assert len(asked) <= 8192
