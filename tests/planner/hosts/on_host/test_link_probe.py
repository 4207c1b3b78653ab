"""The bandwidth that a connection shows, on links whose true one is known."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from planner.hosts.on_host.link_probe import (
    LinkBandwidth,
    Transfer,
    probe_link,
    probe_order,
    probed_neighbours,
)

MIB = 2**20
OWN_BYTES = 50  # of a message, beside header and content
rates = st.floats(1e3, 1e8)
latencies = st.floats(0, 0.2)


class Link:
    """A link that sends one message after the other; its clock is its own."""

    def __init__(self, bytes_per_s: float, latency_s: float) -> None:
        self.bytes_per_s, self.latency_s = bytes_per_s, latency_s
        self.now_s, self.free_s, self.sent_bytes = 0.0, 0.0, 0

    def clock(self) -> float:
        return self.now_s

    def accepted_at(self, began_s: float, size_bytes: int) -> float:
        self.free_s = max(self.free_s, began_s) + (size_bytes + OWN_BYTES) / self.bytes_per_s
        return self.free_s + 2 * self.latency_s

    @property
    def round_trip_s(self) -> float:
        return 2 * self.latency_s + OWN_BYTES / self.bytes_per_s

    def send(self, content: bytes) -> bool:
        self.sent_bytes += len(content)
        self.now_s = self.accepted_at(self.now_s, len(content))
        return True


@given(
    rates,
    latencies,
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 0.5)), min_size=1, max_size=20),
    st.integers(1, 4),
)
def test_messages_that_queue_show_the_bandwidth_of_the_link(rate, latency_s, messages, at_once):
    link, seen = Link(rate, latency_s), LinkBandwidth(OWN_BYTES)
    ends: list[float] = []
    now_s = 0.0
    for size, pause_s in messages:
        now_s += pause_s
        if len(ends) >= at_once:  # a sender waits for the acceptance of one of its messages
            now_s = max(now_s, ends[-at_once])
        ends.append(link.accepted_at(now_s, size))
        seen.add(Transfer(size, now_s, ends[-1], link.round_trip_s))
    if seen.bytes_per_s is not None:
        assert seen.bytes_per_s == pytest.approx(rate, rel=1e-3)


def test_messages_that_take_long_enough_are_seen():
    seen = LinkBandwidth(OWN_BYTES)
    for number in range(3):
        seen.add(Transfer(4000, 10.0 + number, 10.44 + number, 0.04))
    assert seen.bytes_per_s == pytest.approx(1e4)
    assert seen.seen_at_s == 12.44


def test_a_single_message_may_be_a_hiccup_and_says_nothing():
    seen = LinkBandwidth(OWN_BYTES)
    seen.add(Transfer(3072, 0.0, 0.028, 0.001))
    assert seen.bytes_per_s is None


@given(rates, st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 2e-3)), min_size=1, max_size=20))
@example(14227094.0, [(2048, 2e-3), (47303, 2e-3), (210731, 0.0), (182799, 2e-3)])  # one in the middle quick
def test_what_hosts_take_beside_a_message_is_not_taken_for_its_link(rate, messages):
    link, seen = Link(rate, 0.0), LinkBandwidth(OWN_BYTES)
    began_s = 0.0
    for size, host_s in messages:
        ended_s = link.accepted_at(began_s, size) + host_s
        seen.add(Transfer(size, began_s, ended_s, link.round_trip_s))
        began_s = ended_s + 1.0
    if seen.bytes_per_s is not None:
        assert seen.bytes_per_s == pytest.approx(rate, rel=0.201)  # 2 of the 10 ms that it takes at least


def test_messages_that_are_small_or_on_a_quick_link_say_nothing_of_it():
    seen = LinkBandwidth(OWN_BYTES)
    for number in range(20):
        seen.add(Transfer(4000, float(number), number + 0.0105, 0.01))
        seen.add(Transfer(1000, number + 0.5, number + 0.9, 0.0))
    assert seen.bytes_per_s is None


def test_one_hiccup_is_no_other_bandwidth():
    seen = LinkBandwidth(OWN_BYTES)
    for number in range(8):
        seen.add(Transfer(4000, float(number), number + (0.9 if number == 5 else 0.4), 0.0))
    assert seen.bytes_per_s == pytest.approx(1e4)


def test_messages_that_a_busy_receiver_accepts_at_once_show_the_bandwidth_of_the_link():
    link, seen = Link(1e6, 0.0), LinkBandwidth(OWN_BYTES)
    began_s = 0.0
    for _ in range(10):
        sent_s = [began_s, began_s + 0.001]
        accepted_s = [link.accepted_at(sent, 20_000) for sent in sent_s]
        for sent in sent_s:
            seen.add(Transfer(20_000, sent, accepted_s[-1], 0.0))
        began_s = accepted_s[-1]
    assert seen.bytes_per_s == pytest.approx(1e6, rel=0.2)


def test_a_new_bandwidth_is_seen_within_a_few_messages():
    seen = LinkBandwidth(OWN_BYTES)
    for number in range(20):
        seen.add(Transfer(4000, float(number), number + 0.4, 0.0))
    for number in range(20, 25):
        seen.add(Transfer(4000, float(number), number + 0.8, 0.0))
    assert seen.bytes_per_s == pytest.approx(5e3)


def test_a_probe_counts_more_than_what_was_seen_before():
    seen = LinkBandwidth(OWN_BYTES)
    for number in range(8):
        seen.add(Transfer(4000, float(number), number + 0.4, 0.0))
    seen.set(5e6, 9.0)
    assert (seen.bytes_per_s, seen.seen_at_s) == (5e6, 9.0)
    for number in range(10, 13):
        assert seen.bytes_per_s == 5e6
        seen.add(Transfer(40_000, float(number), number + 0.04, 0.0))
    assert seen.bytes_per_s == pytest.approx(1e6)


@given(rates, latencies)
def test_a_probe_finds_the_bandwidth_within_its_bounds(rate, latency_s):
    link = Link(rate, latency_s)
    found = probe_link(link.send, link.clock)
    assert found == pytest.approx(rate, rel=1e-3)
    assert link.sent_bytes <= 1.1 * MIB
    # Nothing is sent once the time is over; what is on its way then arrives.
    assert link.now_s <= 4.0 + max(2**18 / rate, 2**12 / rate) + 2 * latency_s or link.sent_bytes <= 2**12


def test_a_probe_that_is_not_accepted_finds_nothing():
    assert probe_link(lambda content: False) is None
    assert probe_link(lambda content: not content) is None
    link = Link(1e6, 0.0)
    assert probe_link(lambda content: link.send(content) and len(content) < 2**14, link.clock) is None


def test_a_link_whose_empty_messages_took_longer_by_chance_is_told_to_be_as_quick_at_least():
    now_s = 0.0

    def send(content: bytes) -> bool:
        nonlocal now_s
        now_s += 0.002 if content else 0.003
        return True

    assert probe_link(send, lambda: now_s) == pytest.approx(2**18 / 0.002)


def test_a_probe_does_not_take_a_hiccup_for_the_link():
    link, contents = Link(1e6, 0.0), []

    def send(content: bytes) -> bool:
        if content and not any(contents):
            link.now_s += 0.05
        contents.append(content)
        return link.send(content)

    assert probe_link(send, link.clock) == pytest.approx(1e6, rel=0.01)


def test_an_order_names_the_neighbours_to_measure():
    neighbours = ("camera", "a b", "server")
    assert probed_neighbours(b"", neighbours) == []
    assert probed_neighbours(probe_order(()), neighbours) == list(neighbours)
    assert probed_neighbours(probe_order(("server", "a b")), neighbours) == ["a b", "server"]
    assert probed_neighbours(probe_order(("unknown",)), neighbours) == []
    assert probed_neighbours(b"\xff\xfe", neighbours) == []
