"""Whatever happens to requests on a host, each ends, each stage starts once, and memory stays bounded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage, RoutedTensor
from planner.hosts.on_host.messages import TensorSpec
from planner.hosts.on_host.open_requests import OpenRequest, OpenRequests

MOST = 4


def spec(name: str) -> TensorSpec:
    return TensorSpec(name, "float32", (1,))


def plan_of(stages: list[tuple[list[str], list[str]]]) -> HostedPlan:
    """Return a plan whose stages read and give tensors; the last one's go on to a neighbour."""
    hosted = [
        HostedStage(number, (), tuple(map(spec, reads)), tuple(map(spec, gives)))
        for number, (reads, gives) in enumerate(stages)
    ]
    names = sorted({name for ends in stages for side in ends for name in side})
    tensors = {
        name: RoutedTensor(
            spec(name), "before", (), tuple(n for n, (reads, _) in enumerate(stages) if name in reads), False
        )
        for name in names
    }
    return HostedPlan("p", (), (), tuple(hosted), tensors, {})


@given(st.data())
def test_each_stage_starts_once_when_the_last_of_its_inputs_is_there(data):
    names = [f"t{n}" for n in range(5)]
    stages = data.draw(
        st.lists(
            st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True), min_size=1, max_size=4
        )
    )
    plan = plan_of([(reads, []) for reads in stages])
    request = OpenRequest("r", "c", 0, 1.0)
    order = data.draw(st.permutations(sorted(plan.tensors)))
    started = []
    for name in order:
        now = [stage.number for stage in request.take(name, np.zeros(1, np.float32), plan)]
        assert all(set(stages[number]) <= request.seen for number in now)
        started += now
    assert sorted(started) == list(range(len(stages)))
    assert request.is_complete(plan)


PLANS = (HostedPlan("p", (), (), (), {}, {}),)


def opened(requests: OpenRequests, name: str, deadline: float = 1.0, to: tuple[str, ...] = ()) -> OpenRequest:
    request = OpenRequest(name, "c", 0, deadline, handed_to=set(to))
    request.arrays["t"] = np.zeros(1)
    requests.add(request)
    return request


def test_a_request_is_open_complete_or_failed():
    requests = OpenRequests(MOST)
    opened(requests, "a")
    assert not requests.has_ended("a")
    requests.end("a")
    assert requests.has_ended("a")
    assert not requests.has_failed("a")
    assert requests.fail("a") == frozenset()
    assert requests.has_failed("a")
    assert requests.get("a") is None


def test_what_has_failed_elsewhere_first_is_never_begun_here():
    requests = OpenRequests(MOST)
    assert requests.fail("never seen") == frozenset()
    assert requests.has_ended("never seen")


def test_who_works_on_a_complete_request_is_known_until_it_is_answered_failed_or_late():
    requests = OpenRequests(MOST)
    for name, deadline in (("a", 1.0), ("b", 5.0), ("c", 5.0)):
        opened(requests, name, deadline, to=("next",))
        requests.end(name)
    assert [one.name for one in requests.lost_with("next", PLANS)] == ["a", "b", "c"]
    assert requests.lost_with("other", PLANS) == []
    assert requests.late(1.0) == []
    requests.forget("b")
    assert requests.fail("c") == {"next"}
    assert requests.lost_with("next", PLANS) == []


def test_a_request_to_which_a_neighbour_owes_a_tensor_is_lost_with_it():
    requests = OpenRequests(MOST)
    plan = plan_of([(["a", "b"], [])])
    request = opened(requests, "r")
    list(request.take("a", np.zeros(1, np.float32), plan))
    assert requests.lost_with("before", [plan]) == [request]
    assert requests.lost_with("another", [plan]) == []
    list(request.take("b", np.zeros(1, np.float32), plan))
    assert requests.lost_with("before", [plan]) == []


def test_late_ones_are_told_and_tensors_are_dropped_at_the_end():
    requests = OpenRequests(MOST)
    late, early = opened(requests, "late", 1.0, to=("n",)), opened(requests, "early", 5.0, to=("n",))
    assert requests.late(1.0) == [late]
    requests.fail("late")
    requests.end("early")
    assert not late.arrays
    assert not early.arrays


@given(
    st.lists(st.tuples(st.sampled_from(["open", "end", "fail", "late"]), st.integers(0, 30)), max_size=200)
)
def test_memory_stays_bounded_whatever_happens(steps):
    requests = OpenRequests(MOST)
    for step, number in steps:
        name = f"r{number}"
        if (
            step == "open"
            and not requests.is_full
            and not requests.has_ended(name)
            and not requests.get(name)
        ):
            opened(requests, name, number, to=("n",))
        elif step == "end":
            requests.end(name)
        elif step == "fail":
            requests.fail(name)
        else:
            for request in requests.late(number):
                requests.fail(request.name)
        assert len(requests) <= MOST
        assert len(requests.lost_with("n", PLANS)) <= 2 * MOST
        assert not (requests.get(name) and requests.has_ended(name))


def test_only_so_many_ended_requests_are_remembered():
    requests = OpenRequests(MOST)
    for number in range(10_000):
        requests.fail(f"r{number}")
    assert requests.has_failed("r9999")
    assert not requests.has_ended("r0")
