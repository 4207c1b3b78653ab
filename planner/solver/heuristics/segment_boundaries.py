"""Where segments of units end, and on which devices they run, by dynamic programming."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import PlacementProblem

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_MOST_SEGMENTS = 8  # of which every order is tried: their subsets are states of the dynamic program


@dataclass(frozen=True, slots=True)
class SegmentState:
    """The device of the segment that ends, and the numbers of the states of the segment before it."""

    device: int
    before: tuple[int, ...]
    is_first: bool


def segment_states(problem: PlacementProblem) -> list[SegmentState]:
    """Return states in an order in which each comes after those before it."""
    # A device that may be returned to has two segments.
    segments = [d for d, x in enumerate(problem.devices) for _ in range(1 if x.contiguous else 2)]
    if len(segments) > _MOST_SEGMENTS:
        return _states_of_few_orders(problem)
    states: list[SegmentState] = []
    numbers: dict[tuple[int, int], int] = {}
    for used in sorted(range(1, 1 << len(segments)), key=int.bit_count):
        for last in (s for s in range(len(segments)) if used >> s & 1):
            rest = used ^ 1 << last
            if any(rest >> s & 1 for s in _later_visits(problem, segments, last)):
                continue
            before = [numbers[rest, s] for s in range(len(segments)) if (rest, s) in numbers]
            numbers[used, last] = len(states)
            states.append(SegmentState(segments[last], tuple(before), not rest))
    return states


def _later_visits(problem: PlacementProblem, segments: Sequence[int], segment: int) -> Iterator[int]:
    """Yield segments of later visits of a device, after which it cannot come."""
    for s, d in enumerate(segments):
        if d > segments[segment] and problem.physical_device(d) == problem.physical_device(segments[segment]):
            yield s


def _states_of_few_orders(problem: PlacementProblem) -> list[SegmentState]:
    """Return the states in which devices come as they are listed, by speed, or by speed the other way."""
    listed = list(range(len(problem.devices)))
    seconds = [0.0] * len(listed)
    for vertex in problem.vertices:
        for option in vertex.options:
            seconds[option.device] += option.seconds / len(vertex.options)
    by_speed = sorted(listed, key=lambda d: seconds[problem.physical_device(d)])
    visits_in_order = [
        sorted(by_speed[::way], key=lambda d: problem.devices[d].visit_of is not None) for way in (1, -1)
    ]
    states: list[SegmentState] = []
    for order in (listed, *visits_in_order):
        begin = len(states)
        states += [
            SegmentState(d, tuple(range(begin, begin + n)), is_first=True) for n, d in enumerate(order)
        ]
    return states


def best_segments(
    states: Sequence[SegmentState], totals: Array, windows: Sequence[Integers], steps: Array, starts: Array
) -> list[int] | None:
    """Return the device of each unit in order, None if no segments fit."""
    length = len(totals) - 1
    least = np.full((len(states), length + 1), inf)  # units done, the last of them in this state's segment
    begins = np.full((len(states), length), inf)
    for number, state in enumerate(states):
        begin, d = begins[number], state.device
        if state.is_first:
            begin[0] = starts[d]
        for b in state.before:
            np.minimum(begin[1:], least[b, 1:-1] + steps[:, states[b].device, d], out=begin[1:])
        begin -= totals[:-1, d]
        least[number, 1:] = _least_in_windows(begin, windows[d][1:]) + totals[1:, d]
    last = int(least[:, length].argmin())
    return None if least[last, length] == inf else _trace(states, windows, steps, least, begins, last)


def _trace(
    states: Sequence[SegmentState],
    windows: Sequence[Integers],
    steps: Array,
    least: Array,
    begins: Array,
    number: int,
) -> list[int]:
    devices: list[int] = []
    done = least.shape[1] - 1
    while True:
        state = states[number]
        first = windows[state.device][done]
        begin = int(first + begins[number, first:done].argmin())
        devices += [state.device] * (done - begin)
        if begin == 0:
            return devices[::-1]
        number = min(
            state.before, key=lambda b: least[b, begin] + steps[begin - 1, states[b].device, state.device]
        )
        done = begin


def _least_in_windows(values: Array, first: Integers) -> Array:
    """Return position -> the least value in its window, which ends there; infinite if that is empty."""
    if not first.any():
        return np.minimum.accumulate(values)
    rows = [values]
    reach = 1
    while 2 * reach <= len(values):
        rows.append(np.append(np.minimum(rows[-1][:-reach], rows[-1][reach:]), np.full(reach, inf)))
        reach *= 2
    at = np.arange(len(values))
    sizes = at - first + 1
    levels = np.frexp(np.maximum(sizes, 1))[1] - 1
    table = np.stack(rows)
    start = np.minimum(first, at)
    least = np.minimum(table[levels, start], table[levels, at - (1 << levels) + 1])
    return np.where(sizes > 0, least, inf)
