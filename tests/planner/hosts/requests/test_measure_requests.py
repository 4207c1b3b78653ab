"""What requests took beside what their plans predict: of known times, known figures."""

from concurrent.futures import Future
from types import SimpleNamespace

import msgspec
import pytest
from made_records import CUT, SCENARIO

from planner.errors import HostError
from planner.hosts.requests.measure_requests import (
    Ended,
    _crossing_s,
    _predicted_crossing_s,
    clock_offsets,
    percentiles,
    send_all,
)
from planner.hosts.requests.request_times import RequestTimes, Span, SpanKind
from planner.plan.bandwidth_ranges import FollowedLinks
from planner.scenario.loader import parse_scenario


class Client:
    """Answers each sample with itself at once, or fails where it is told to."""

    def __init__(self, *, fails: tuple[int, ...] = (), watch: object = None) -> None:
        self.fails, self.watch, self.sent = fails, watch, []

    def submit(self, feeds) -> Future:
        future: Future = Future()
        self.sent.append(feeds)
        if feeds in self.fails:
            future.set_exception(HostError(f"{feeds} is lost"))
        else:
            future.set_result(feeds)
        return future


@pytest.mark.parametrize("rate_per_s", [None, 1e6])
def test_every_sample_ends_with_its_answer_or_a_reason_in_order(rate_per_s):
    told: list[tuple] = []
    client = Client(fails=(1, 3))
    ended = list(send_all(client, range(5), lambda *row: told.append(row), rate_per_s))
    assert [one.answer for one in ended] == [0, None, 2, None, 4]
    assert [one.reason for one in ended] == ["", "1 is lost", "", "3 is lost", ""]
    assert client.sent == list(range(5))
    assert told[-1] == ("requests", 5, 5)


def test_no_samples_end_at_once():
    assert list(send_all(Client(), [], lambda *_: None)) == []


def test_a_request_keeps_the_bandwidth_that_was_known_when_it_was_sent():
    watch = SimpleNamespace(bandwidth=1.0)
    client = Client(watch=watch)
    found = []
    for one in send_all(client, range(3), lambda *_: None):
        found.append(one)
        watch.bandwidth *= 2
    assert found == [Ended(0, bandwidth=1.0), Ended(1, bandwidth=2.0), Ended(2, bandwidth=4.0)]


def test_without_a_rate_the_next_request_waits_for_the_end_of_the_one_before():
    client = Client()
    for number, _ in enumerate(send_all(client, range(4), lambda *_: None), start=1):
        assert len(client.sent) == number


def hosts(offsets: dict[str, dict[str, float]], *known: str):
    """Return a client of hosts that tell of their neighbours' clocks."""
    return SimpleNamespace(
        deployment=SimpleNamespace(source="a", hosts=[SimpleNamespace(device=name) for name in known]),
        status=lambda device: SimpleNamespace(offsets_s=offsets.get(device, {})),
    )


def test_offsets_of_clocks_add_up_along_the_way_from_the_source():
    offsets = {"a": {"b": 1.0}, "b": {"a": -1.0, "c": 0.5, "client-1": 9.0}, "c": {"b": -0.5, "d": -2.0}}
    assert clock_offsets(hosts(offsets, "a", "b", "c", "d")) == {"a": 0.0, "b": 1.0, "c": 1.5, "d": -0.5}


def test_a_host_whose_clock_nobody_has_seen_has_no_offset():
    assert clock_offsets(hosts({"a": {}}, "a", "b")) == {"a": 0.0}
    ring = {"a": {"b": 1.0, "c": 2.0}, "b": {"c": 1.5}, "c": {"a": -2.0}}
    assert clock_offsets(hosts(ring, "a", "b", "c")) == {"a": 0.0, "b": 1.0, "c": 2.0}


def test_hosts_that_are_gone_leave_the_clocks_of_the_others():
    def status(device: str) -> SimpleNamespace:
        if device == "b":
            raise HostError("b: a does not reach b")
        return SimpleNamespace(offsets_s={"b": 1.0, "c": 2.0} if device == "a" else {})

    client = hosts({}, "a", "b", "c")
    client.status = status
    assert clock_offsets(client) == {"a": 0.0, "b": 1.0, "c": 2.0}


def cut(tensor: str, *path: str):
    return msgspec.structs.replace(CUT, tensor=tensor, source=path[0], target=path[-1], path=path)


def crossed(subject: str, device: str, other: str, seconds: float) -> Span:
    return Span(SpanKind.LINK, subject, device, other, 1.0, 1.0 + seconds)


def seconds_of(own, cuts, *spans: Span) -> float | None:
    return _crossing_s(RequestTimes(9.0, spans), own, cuts)


def test_a_tensor_is_on_all_links_of_its_way_or_was_not_seen():
    one = cut("t", "a", "b", "c")
    first, second = crossed("t", "a", "b", 0.5), crossed("t", "b", "c", 0.25)
    assert seconds_of(one, [one], first, second) == pytest.approx(0.75)
    assert seconds_of(one, [one], first) is None
    assert seconds_of(one, [one], first, second, crossed("t", "c", "d", 1.0)) == pytest.approx(0.75)
    stage = Span(SpanKind.STAGE, "t", "a", "b", 0.0, 5.0)
    assert seconds_of(one, [one], first, second, stage) == pytest.approx(0.75)


def test_a_tensor_crosses_under_its_name_or_one_that_its_conversion_made():
    one = cut("relu", "a", "b")
    for name in ("relu", "relu_QuantizeLinear_Output", "relu_float16"):
        assert seconds_of(one, [one], crossed(name, "a", "b", 0.5)) == pytest.approx(0.5)
    assert seconds_of(one, [one], crossed("relu6", "a", "b", 0.5)) is None


def test_a_tensor_whose_name_goes_on_from_another_ones_is_not_that_one():
    short, long = cut("relu", "a", "b"), cut("relu_1", "a", "b")
    spans = crossed("relu_quantized", "a", "b", 0.5), crossed("relu_1_quantized", "a", "b", 0.25)
    assert seconds_of(short, [short, long], *spans) == pytest.approx(0.5)
    assert seconds_of(long, [short, long], *spans) == pytest.approx(0.25)
    assert seconds_of(short, [short, long], spans[1]) is None


def test_a_crossing_is_predicted_from_the_bandwidth_that_was_known():
    scenario = parse_scenario(msgspec.json.encode(SCENARIO))
    one = cut("t", "camera", "server")
    followed = FollowedLinks(links=(("camera", "server"),), unit="Mbit/s", own=8.0)

    def client(links: FollowedLinks | None):
        return SimpleNamespace(deployment=SimpleNamespace(followed=links), scenario=scenario)

    assert _predicted_crossing_s(client(None), one, 4.0) == one.seconds
    assert _predicted_crossing_s(client(followed), one, None) == pytest.approx(one.size_bytes / 1e6)
    assert _predicted_crossing_s(client(followed), one, 4.0) == pytest.approx(one.size_bytes / 0.5e6)
    back = cut("t", "server", "camera")
    assert _predicted_crossing_s(client(followed), back, 4.0) == pytest.approx(one.size_bytes / 1e6)


def test_percentiles_of_one_request_are_what_it_took():
    found = percentiles([0.25])
    assert (found.p50_s, found.p90_s, found.p99_s) == (0.25, 0.25, 0.25)
