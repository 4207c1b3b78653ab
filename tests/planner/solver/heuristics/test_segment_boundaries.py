import itertools
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import mesh

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.units import Option, Vertex
from planner.solver.heuristics.segment_boundaries import best_segments, mean_seconds, segment_states


def problem_of(*contiguous: bool) -> PlacementProblem:
    devices = tuple(Device(f"d{d}", contiguous=x) for d, x in enumerate(contiguous))
    options = tuple(Option(d, seconds=1.0 + d) for d in range(len(devices)))
    ends = tuple(Vertex(name, (Option(0),), is_terminal=True) for name in ("source", "sink"))
    return PlacementProblem(devices, (Vertex("u", options), *ends), (), mesh(len(devices)))


def segments_of(devices) -> list[tuple[int, int, int]]:
    """Return (device, first unit, first unit after) of each run of one device."""
    found, begin = [], 0
    for device, run in itertools.groupby(devices):
        length = len(list(run))
        found.append((device, begin, begin + length))
        begin += length
    return found


def price(devices, totals, windows, steps, starts) -> float:
    """Return what consecutive segments cost, infinite if one begins too early."""
    segments = segments_of(devices)
    cost = starts[devices[0]]
    for device, begin, done in segments:
        cost += totals[done, device] - totals[begin, device] if begin >= windows[device][done] else inf
    for (before, _, _), (device, begin, _) in itertools.pairwise(segments):
        cost += steps[begin - 1, before, device]
    return cost


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.lists(st.booleans(), min_size=1, max_size=3), st.integers(0, 10**6))
def test_no_other_segments_are_cheaper(length, contiguous, seed):
    rng = np.random.default_rng(seed)
    count = len(contiguous)
    seconds = rng.integers(0, 9, (length, count)).astype(float)
    totals = np.vstack([np.zeros(count), np.cumsum(seconds, axis=0)])
    steps = rng.integers(0, 5, (length - 1, count, count)).astype(float)
    steps[rng.random(steps.shape) < 0.2] = inf
    steps[:, range(count), range(count)] = inf  # two segments in a row on one device are one
    starts = rng.integers(0, 3, count).astype(float)
    windows = []
    for _ in range(count):
        latest = np.maximum.accumulate(rng.integers(0, length + 1, length + 1) * (rng.random() < 0.6))
        windows.append(np.minimum(latest, np.arange(length + 1)))
    most = [1 if x else 2 for x in contiguous]
    allowed = [
        devices
        for devices in itertools.product(range(count), repeat=length)
        if all([s[0] for s in segments_of(devices)].count(d) <= most[d] for d in range(count))
    ]
    found = best_segments(segment_states(problem_of(*contiguous)), totals, windows, steps, starts)
    least = min(price(devices, totals, windows, steps, starts) for devices in allowed)
    if found is None:
        assert least == inf
    else:
        assert tuple(found) in allowed
        assert price(found, totals, windows, steps, starts) == least


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_states_are_all_orders_in_which_devices_can_come(count):
    states = segment_states(problem_of(*[True] * count))
    assert len(states) == count * 2 ** (count - 1)
    for number, state in enumerate(states):
        assert all(b < number and states[b].level == state.level - 1 for b in state.before)
        assert state.is_first == (state.level == 1)


def test_of_many_devices_a_few_orders_are_tried():
    states = segment_states(problem_of(*[True] * 9))
    orders = [[s.device for s in states[at : at + 9]] for at in range(0, len(states), 9)]
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8] in orders
    assert [8, 7, 6, 5, 4, 3, 2, 1, 0] in orders
    assert all(sorted(order) == list(range(9)) for order in orders)


def test_the_mean_is_of_a_device_s_own_options():
    problem = problem_of(True, True)
    assert [mean_seconds(problem, d) for d in (0, 1, 2)] == [1.0, 2.0, inf]
