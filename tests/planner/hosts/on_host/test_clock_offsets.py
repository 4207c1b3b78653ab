"""How far clocks are apart, from messages whose ways take known times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hosts.on_host.clock_offsets import ClockOffset, clock_answer, clock_bytes, exchange
from planner.hosts.on_host.messages import BadMessageError

HOUR_NS = 3_600_000_000_000
times = st.integers(0, 10**9)


def seen(offset_ns: int, there_ns: int, busy_ns: int, back_ns: int):
    sent = 1_800_000_000 * 10**9
    arrived = sent + there_ns + offset_ns
    answered = arrived + busy_ns
    return exchange(sent, arrived, answered, answered + back_ns - offset_ns)


@given(st.integers(-2 * HOUR_NS, 2 * HOUR_NS), times, times, times)
def test_an_offset_is_wrong_by_half_of_what_the_ways_differ_by(offset_ns, there_ns, busy_ns, back_ns):
    one = seen(offset_ns, there_ns, busy_ns, back_ns)
    assert one.round_trip_s == pytest.approx((there_ns + back_ns) / 1e9)
    assert one.offset_s == pytest.approx((offset_ns + (there_ns - back_ns) / 2) / 1e9, abs=1e-6)


@given(st.lists(st.tuples(times, times, times), min_size=1, max_size=60))
def test_of_clocks_an_hour_apart_the_quickest_of_the_latest_messages_is_believed(ways):
    clock = ClockOffset()
    for way in ways:
        clock.add(seen(HOUR_NS, *way))
    latest = ways[-32:]
    assert clock.best == min((seen(HOUR_NS, *way) for way in latest), key=lambda one: one.round_trip_s)
    assert abs(clock.best.offset_s - 3600) <= clock.best.round_trip_s / 2 + 1e-6


@given(st.lists(st.tuples(times, times, times), min_size=1, max_size=60))
def test_a_quarter_of_the_latest_empty_messages_are_quicker_than_the_round_trip(ways):
    clock = ClockOffset()
    for way in ways:
        clock.add(seen(0, *way))
    latest = [seen(0, *way).round_trip_s for way in ways[-32:]]
    assert clock.round_trip_s in latest
    assert sum(one < clock.round_trip_s for one in latest) <= len(latest) / 4
    assert sum(one <= clock.round_trip_s for one in latest) > len(latest) / 4


def test_nothing_is_known_before_the_first_message():
    assert ClockOffset().best is None
    assert ClockOffset().round_trip_s is None


@pytest.mark.parametrize("data", [b"", b"3", b"[1, 2]", bytes(15), bytes(17)])
def test_another_answer_is_a_bad_message(data):
    with pytest.raises(BadMessageError):
        clock_answer(data)
    assert clock_answer(clock_bytes(1, 2)) == (1, 2)
