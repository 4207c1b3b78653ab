"""Where segments of units end, and on which devices they run, by dynamic programming."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import PlacementProblem

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_MOST_SEGMENTS = 8  # of which every order is tried: their subsets are states of the dynamic program


@dataclass(frozen=True, slots=True)
class SegmentState:
    """The device of the last segment, the number of segments, and the numbers of states of one less."""

    device: int
    level: int
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
            states.append(SegmentState(segments[last], used.bit_count(), tuple(before), not rest))
    return states


def _later_visits(problem: PlacementProblem, segments: Sequence[int], segment: int) -> Iterator[int]:
    """Yield segments of later visits of a device, after which it cannot come."""
    for s, d in enumerate(segments):
        if d > segments[segment] and problem.physical_device(d) == problem.physical_device(segments[segment]):
            yield s


def _states_of_few_orders(problem: PlacementProblem) -> list[SegmentState]:
    """Return the states in which devices come as they are listed, by speed, or by speed the other way."""
    listed = list(range(len(problem.devices)))
    by_speed = sorted(listed, key=lambda d: mean_seconds(problem, problem.physical_device(d)))
    visits_in_order = [
        sorted(by_speed[::way], key=lambda d: problem.devices[d].visit_of is not None) for way in (1, -1)
    ]
    states: list[SegmentState] = []
    for order in (listed, *visits_in_order):
        begin = len(states)
        states += [
            SegmentState(d, n, tuple(range(begin, begin + n)), is_first=True) for n, d in enumerate(order)
        ]
    return states


def mean_seconds(problem: PlacementProblem, device: int) -> float:
    """Return the mean seconds of options on a device, infinite if it has none."""
    seconds = [
        o.seconds for v in problem.vertices if not v.is_terminal for o in v.options if o.device == device
    ]
    return sum(seconds) / len(seconds) if seconds else inf


def best_segments(
    states: Sequence[SegmentState], totals: Array, windows: Sequence[Integers], steps: Array, starts: Array
) -> list[int] | None:
    """Return the device of each unit in order, None if no segments fit."""
    length = len(totals) - 1
    # Units done, the last of them in this state's segment; one row more stands for no state.
    least = np.full((len(states) + 1, length + 1), inf)
    begins = np.full((len(states), length), inf)
    steps_of = np.ascontiguousarray(steps.transpose(2, 1, 0))
    for (_, d), numbers in _groups(states).items():
        begin = begins[numbers]
        begin[[states[n].is_first for n in numbers], 0] = starts[d]
        for column in zip_longest(*(states[n].before for n in numbers), fillvalue=len(states)):
            of = [states[b].device if b < len(states) else 0 for b in column]
            np.minimum(begin[:, 1:], least[list(column), 1:-1] + steps_of[d, of], out=begin[:, 1:])
        begin -= totals[:-1, d]
        begins[numbers] = begin
        least[numbers, 1:] = _least_in_windows(begin, windows[d][1:]) + totals[1:, d]
    last = int(least[:, length].argmin())
    return None if least[last, length] == inf else _trace(states, windows, steps, least, begins, last)


def _groups(states: Sequence[SegmentState]) -> dict[tuple[int, int], list[int]]:
    """Return number of segments and device -> states, fewest segments first."""
    groups: dict[tuple[int, int], list[int]] = {}
    for number, state in sorted(enumerate(states), key=lambda x: x[1].level):
        groups.setdefault((state.level, state.device), []).append(number)
    return groups


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
        return np.minimum.accumulate(values, axis=1)
    rows = [values]
    reach, length = 1, values.shape[1]
    while 2 * reach <= length:
        later = np.full(values.shape, inf)
        np.minimum(rows[-1][:, :-reach], rows[-1][:, reach:], out=later[:, :-reach])
        rows.append(later)
        reach *= 2
    at = np.arange(length)
    sizes = at - first + 1
    levels = np.frexp(np.maximum(sizes, 1))[1] - 1
    table = np.stack(rows)
    earlier, later = table[levels, :, np.minimum(first, at)], table[levels, :, at - (1 << levels) + 1]
    return np.where(sizes > 0, np.minimum(earlier, later).T, inf)
