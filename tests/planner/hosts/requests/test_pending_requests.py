"""Each request ends once, whichever threads answer it, fail it or close the client."""

import random
import threading
import time

import numpy as np
import pytest

from planner.errors import HostError
from planner.hosts.requests.pending_requests import PendingRequest, PendingRequests

ARRAY = np.zeros(2, np.float32)


def a_request(requests: PendingRequests, seconds: float = 30.0, outputs: int = 1) -> PendingRequest:
    requests.wait_for_room()
    now = time.monotonic()
    return PendingRequest({}, 0, outputs, now, now + seconds)


def sent_again(requests: PendingRequests) -> list[tuple[PendingRequest, str]]:
    end = time.monotonic() + 5.0
    while not (again := requests.begin_again()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return again


def room(requests: PendingRequests) -> int:
    """Return how many may begin now."""
    count = 0
    while requests._room.acquire(blocking=False):
        count += 1
    for _ in range(count):
        requests._room.release()
    return count


def test_a_request_ends_with_its_last_output():
    requests = PendingRequests(1)
    pending = a_request(requests, outputs=2)
    name = requests.begin(pending)
    requests.answered(name, "left", ARRAY)
    requests.answered(name, "left", ARRAY)
    assert not pending.future.done()
    requests.answered(name, "right", ARRAY)
    answer = pending.future.result(0)
    assert set(answer.outputs) == {"left", "right"}
    assert (answer.request, answer.attempts, room(requests)) == (name, 1, 1)


def test_what_comes_of_an_earlier_attempt_belongs_to_nobody():
    requests = PendingRequests(1)
    pending = a_request(requests, outputs=2)
    first = requests.begin(pending)
    requests.answered(first, "left", ARRAY)
    assert requests.failed(first, "lost", is_lasting=False)
    assert requests.begin_again() == []  # not at once
    ((again, second),) = sent_again(requests)
    assert again is pending
    assert requests.of(first) is None
    assert first not in requests
    requests.answered(first, "right", ARRAY)
    requests.answered(second, "right", ARRAY)
    assert not requests.failed(first, "lost once more", is_lasting=False)
    assert not pending.future.done()
    requests.answered(second, "left", ARRAY)
    assert pending.future.result(0).attempts == 2


@pytest.mark.parametrize(("seconds", "is_lasting"), [(30.0, True), (0.1, False)])
def test_what_does_not_help_any_more_is_not_tried_again(seconds, is_lasting):
    requests = PendingRequests(1)
    pending = a_request(requests, seconds)
    assert requests.failed(requests.begin(pending), "it broke", is_lasting=is_lasting)
    with pytest.raises(HostError, match="it broke"):
        pending.future.result(0)
    assert room(requests) == 1


def test_late_requests_end_and_say_why_the_attempt_before_failed():
    requests = PendingRequests(2)
    late, other = a_request(requests, 0.5), a_request(requests)
    requests.failed(requests.begin(late), "the cable fell out", is_lasting=False)
    requests.begin(other)
    sent_again(requests)
    requests.end_late()
    assert not late.future.done()
    time.sleep(max(0.0, late.deadline - time.monotonic()))
    requests.end_late()
    with pytest.raises(HostError, match=r"no answer within 0\.5 s; before, the cable fell out"):
        late.future.result(0)
    assert not other.future.done()


def test_a_request_whose_deadline_passes_before_it_is_sent_again_ends():
    requests = PendingRequests(1)
    pending = a_request(requests, 0.25)
    requests.failed(requests.begin(pending), "the cable fell out", is_lasting=False)
    time.sleep(max(0.0, pending.deadline - time.monotonic()))
    requests.end_late()
    with pytest.raises(HostError, match="before, the cable fell out"):
        pending.future.result(0)
    assert (requests.begin_again(), room(requests)) == ([], 1)


def test_close_ends_all_and_takes_none_any_more():
    requests = PendingRequests(3)
    on_its_way, paused, next_one = (a_request(requests) for _ in range(3))
    requests.begin(on_its_way)
    requests.failed(requests.begin(paused), "lost", is_lasting=False)
    requests.close()
    for pending in (on_its_way, paused):
        with pytest.raises(HostError, match="closed"):
            pending.future.result(0)
    with pytest.raises(HostError, match="closed"):
        requests.begin(next_one)
    assert room(requests) == 3
    time.sleep(0.25)
    assert requests.begin_again() == []


def test_who_hears_of_an_answer_may_send_the_next_request():
    requests = PendingRequests(1)
    first, then = a_request(requests), []
    first.future.add_done_callback(lambda _: then.append(requests.begin(a_request(requests))))
    requests.answered(requests.begin(first), "out", ARRAY)
    assert then[0] in requests


def test_threads_that_end_the_same_requests_end_each_once():
    requests, ended = PendingRequests(50), []
    for _ in range(50):
        pending = a_request(requests, random.uniform(0.05, 1.0))
        pending.future.add_done_callback(ended.append)
        requests.begin(pending)

    def work() -> None:
        for _ in range(60):
            for name in random.sample(names := requests.names(), len(names)):
                random.choice(
                    (
                        lambda name: requests.answered(name, "out", ARRAY),
                        lambda name: requests.failed(name, "lost", is_lasting=False),
                        lambda name: requests.failed(name, "broken", is_lasting=True),
                    )
                )(name)
            requests.end_late()
            requests.begin_again()
            time.sleep(0.002)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    requests.close()
    assert (len(ended), len(set(ended)), room(requests)) == (50, 50, 50)
