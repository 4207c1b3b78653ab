"""A message ends once: accepted, refused, no longer wanted, too late, or with no room for it."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from planner.hosts.on_host.messages import REPEATED, Failure, TensorHeader, failure, tensor_header
from planner.hosts.on_host.network import Outcome, Reply
from planner.hosts.on_host.outbox import Outbox, Outgoing, Sent


class Scripted:
    """A connection whose replies are given: the last one again and again."""

    name = "camera"

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.headers = list(replies), []

    def send(self, receiver: str, kind: str, header: bytes, payload: bytes, timeout_s: float) -> Reply:
        self.headers.append(header)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


ACCEPTED, REFUSED = Reply(Outcome.ACCEPTED), Reply(Outcome.REFUSED, b"NaN")
BUSY, UNREACHABLE = Reply(Outcome.BUSY, b"too many"), Reply(Outcome.UNREACHABLE)


def outgoing(number: int = 1, left_s: float = 20.0) -> Outgoing:
    header = TensorHeader(f"{number:032}", 0, 0, 0.0)
    return Outgoing("tensor", header, b"\0", time.monotonic() + left_s)


def ends(
    network: Scripted, messages: list[Outgoing], is_wanted=lambda message: True, most: int = 50
) -> list[Sent]:
    """Return what became of messages, once that is known of all."""
    found: list[Sent] = []
    known = threading.Semaphore(0)

    def done(sent: Sent) -> None:
        found.append(sent)
        known.release()

    outbox = Outbox(network, "server", done, most, is_wanted)
    for message in messages:
        outbox.put(message)
    for _ in messages:
        assert known.acquire(timeout=30)
    outbox.close()
    return found


def test_a_message_is_sent_until_it_is_accepted():
    network = Scripted(UNREACHABLE, BUSY, ACCEPTED)
    (sent,) = ends(network, [outgoing()])
    assert sent.reason is None
    assert len(network.headers) == 3


def test_a_refusal_is_for_good():
    network = Scripted(REFUSED)
    (sent,) = ends(network, [outgoing()])
    assert sent.is_lasting
    assert "server refused it: NaN" in sent.reason
    assert len(network.headers) == 1


@pytest.mark.parametrize("reply", [UNREACHABLE, BUSY])
def test_what_is_not_accepted_in_time_ends_with_a_reason_and_may_be_tried_again(reply):
    (sent,) = ends(Scripted(reply), [outgoing(left_s=0.2)])
    assert "server cannot be reached" in sent.reason
    assert not sent.is_lasting


def test_what_is_too_late_or_not_wanted_is_not_sent():
    network = Scripted(ACCEPTED)
    assert ends(network, [outgoing(left_s=-1.0)])[0].reason
    assert ends(network, [outgoing()], lambda message: False)[0].reason
    assert not network.headers


def test_a_message_stops_being_sent_when_its_request_ends():
    network = Scripted(UNREACHABLE)
    (sent,) = ends(network, [outgoing()], lambda message: len(network.headers) < 2)
    assert "has ended" in sent.reason
    assert len(network.headers) == 2


@settings(max_examples=20)
@given(st.integers(0, 20), st.integers(1, 5))
def test_every_message_ends_once_even_where_there_is_no_room(count, most):
    messages = [outgoing(number) for number in range(count)]
    found = ends(Scripted(ACCEPTED), messages, most=most)
    names = sorted(sent.message.header.request for sent in found)
    assert names == [f"{number:032}" for number in range(count)]
    assert all("too many" in sent.reason for sent in found if sent.reason)


def test_each_host_on_the_way_gives_up_a_little_earlier_than_the_one_before():
    network = Scripted(ACCEPTED)
    for left_s in (30.0, 1.0):
        ends(network, [outgoing(left_s=left_s)])
    long, short = (tensor_header(header).left_s for header in network.headers)
    assert 28.5 < long < 29.1
    assert 0 < short <= 0.9


def test_it_is_told_when_a_message_was_sent_that_was_accepted():
    began_ns = time.time_ns()
    (sent,) = ends(Scripted(UNREACHABLE, ACCEPTED), [outgoing()])
    assert began_ns < sent.sent_ns < time.time_ns() - sent.seconds * 1e9 + 1e6
    assert sent.sent_ns > began_ns + 0.04e9  # the first try was not
    # An acceptance got lost, and nobody knows whose.
    (sent,) = ends(Scripted(UNREACHABLE, Reply(Outcome.ACCEPTED, REPEATED)), [outgoing()])
    assert (sent.reason, sent.sent_ns) == (None, None)


def test_a_failure_is_sent_as_it_is():
    told = Failure("0" * 32, "d", "why")
    assert failure(Outgoing("failure", told, b"", 0.0).header_now()) == told
