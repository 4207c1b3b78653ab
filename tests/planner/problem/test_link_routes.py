from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.problem.link_routes import Hop, MessageEnergy, Routes

LINKS = [
    Hop("camera", "gateway", 0.001, 1e6),
    Hop("gateway", "server", 0.001, 1e8),
    Hop("camera", "server", 0.0, 1e5),
]


def test_a_small_message_goes_directly_and_a_large_one_around():
    routes = Routes(LINKS)
    assert routes.route("camera", "server", 10).path == ("camera", "server")
    large = routes.route("camera", "server", 10**6)
    assert large.path == ("camera", "gateway", "server")
    assert large.seconds == pytest.approx(0.002 + 1.0 + 0.01)


def test_a_link_has_a_direction():
    assert Routes(LINKS).route("server", "camera", 1).seconds == inf
    assert Routes(LINKS).route("server", "camera", 1).path == ()


def test_staying_costs_nothing():
    assert Routes([]).route("a", "a", 10**9).seconds == 0


def test_of_two_parallel_links_the_faster_is_taken():
    assert Routes([Hop("a", "b", 0, 1e3), Hop("a", "b", 0, 1e6)]).route("a", "b", 1000).seconds == 0.001


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_more_bytes_never_take_less_time(a, b):
    routes = Routes(LINKS)
    small, large = sorted((a, b))
    assert routes.route("camera", "server", small).seconds <= routes.route("camera", "server", large).seconds


def test_a_route_names_its_links():
    assert Routes(LINKS).route("camera", "server", 10**6).links == (0, 1)
    assert Routes(LINKS).route("camera", "server", 10).links == (2,)


def test_a_message_costs_energy_per_byte_and_for_itself():
    assert MessageEnergy(2e-6, 1e-3).joules(1000) == pytest.approx(3e-3)


def test_both_ways_of_a_pair_of_like_links_take_alike_over_any_number_of_hops():
    names = "abcd"
    hops = []
    for n, (one, other) in enumerate(pairwise(names), start=1):
        hops += [Hop(*ends, 0.001 * n, 1e6 / n) for ends in ((one, other), (other, one))]
    routes = Routes(hops)
    for a in names:
        for b in names:
            for size in (0, 10**4, 10**7):
                there, back = routes.route(a, b, size), routes.route(b, a, size)
                assert there.seconds == pytest.approx(back.seconds)
                assert there.path == back.path[::-1]
                assert len(there.links) == max(len(there.path) - 1, 0)
                assert there.seconds == pytest.approx(sum(hops[n].seconds(size) for n in there.links))
