"""Plans in which units in a topological order fill one device after another, at given prices."""

from collections import deque
from collections.abc import Sequence
from itertools import product
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.solver.heuristics.prices import Prices
from planner.solver.heuristics.segment_boundaries import best_segments, segment_states

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class DeviceSegments:
    """The least choice of consecutive segments of an order of units, by dynamic programming at given prices.

    Memory is kept: a segment ends before its device is full. Each device takes the options that are least in
    a row of all units on it. A tensor counts once for each end of a segment that it passes.
    """

    def __init__(self, problem: PlacementProblem, order: Sequence[int]) -> None:
        self.problem, self.order = problem, order
        self.position = {v: i for i, v in enumerate(order)}
        self.options = _option_table(problem, order)
        self.states = segment_states(problem)
        shape = (len(order), len(problem.formats), len(problem.devices))
        self.switch_in, self.switch_out = np.zeros(shape), np.zeros(shape)
        self.leave, self.enter = np.zeros(shape), np.zeros(shape)
        self.switch_noise = np.zeros(shape[:2])
        self.own_noise = np.zeros(shape[:2])
        self.crossings: dict[tuple[object, ...], _Crossings] = {}
        self.ends: list[tuple[int, Flow, int, bool]] = []  # position, tensor, the terminal's device, arrives
        for flow in problem.flows:
            self._add_flow(flow)
        for passing in (self.leave, self.enter, *(x.amounts for x in self.crossings.values())):
            np.cumsum(passing, axis=0, out=passing)
        self._gather_options()

    def cheapest(self, prices: Prices, most_load_s: float = inf) -> Choice | None:
        """Return the least choice at these prices, None if no segments fit.

        Parameters
        ----------
        most_load_s
            Seconds of a segment's units, and of its tensors on a link, that are not exceeded.
        """
        units = self._unit_prices(prices)
        missing = np.isinf(units).all(axis=2)
        units[missing] = 0.0  # no segment has them: see `_window`
        picked, totals = _least_rows(units, self._switches(prices))
        windows = [
            self._window(d, picked[:, d], missing[:, d], most_load_s)
            for d in range(len(self.problem.devices))
        ]
        starts = np.array([d.start_s for d in self.problem.devices]) * prices.busy
        found = best_segments(self.states, totals, windows, self._steps(prices, picked, most_load_s), starts)
        if found is None:
            return None
        numbers = [0] * len(self.problem.vertices)
        for at, d in enumerate(found):
            numbers[self.order[at]] = int(self.options[at, d, picked[at, d]])
        return Choice(tuple(numbers))

    def _switches(self, prices: Prices) -> Array:
        """Return position -> device -> option -> option of the next unit -> price of the change of format."""
        at = np.arange(len(self.order))[:, None, None]
        d = np.arange(len(self.problem.devices))[None, :, None]
        into = (self.switch_in * prices.busy + self.switch_noise[..., None] * prices.noise)[
            at, self.formats, d
        ]
        out = (self.switch_out * prices.busy)[at[1:], self.formats[:-1], d]
        differs = self.formats[:-1, :, :, None] != self.formats[1:, :, None]
        return np.where(differs, into[1:, :, None] + out[..., None], 0.0)

    def _window(self, d: int, picked: Integers, missing: NDArray[np.bool_], most_load_s: float) -> Integers:
        """Return units done -> the first unit that a segment up to there can have."""
        at = np.arange(len(self.order))
        most = self.problem.tightest_limit(CostMetric.MEMORY, self.problem.physical_device(d))
        weights = np.cumsum(np.append(0.0, self.rows["weight"][at, d, picked]))
        seconds = np.cumsum(np.append(0.0, self.rows["seconds"][at, d, picked]))
        held = self.rows["held"][at, d, picked]
        first = np.maximum(
            np.searchsorted(weights, weights - most * (1 + 1e-9)),
            np.searchsorted(seconds, seconds - most_load_s * (1 + 1e-9)),
        )
        barrier = np.maximum.accumulate(np.append(0, np.where(missing, at + 1, 0)))
        first = np.maximum(first, barrier)
        if most < inf:
            _make_room(first, weights, held, most * (1 + 1e-9))
        return np.asarray(first, np.int64)

    def _gather_options(self) -> None:
        shape = self.options.shape
        rows: dict[str, Array] = {
            name: np.zeros(shape) for name in ("seconds", "noise", "weight", "held", "joules")
        }
        self.formats = np.zeros(shape, np.int64)
        for at, d, p in zip(*np.nonzero(self.options >= 0), strict=True):
            option = self.problem.vertices[self.order[at]].options[self.options[at, d, p]]
            self.formats[at, d, p] = option.format
            rows["seconds"][at, d, p] = option.seconds
            rows["noise"][at, d, p] = option.noise_power + self.own_noise[at, option.format]
            rows["weight"][at, d, p] = option.weight_bytes
            rows["held"][at, d, p] = option.activation_bytes
            rows["joules"][at, d, p] = option.joules
        self.rows = rows

    def _unit_prices(self, prices: Prices) -> Array:
        physical = [self.problem.physical_device(d) for d in range(len(self.problem.devices))]
        rows = self.rows
        total = rows["seconds"] * prices.busy[:, None] + rows["noise"] * prices.noise
        total += rows["weight"] * prices.weight[physical][:, None]
        total += rows["joules"] * prices.joules[physical][:, None]
        for at, flow, home, arrives in self.ends:
            for d, p in zip(*np.nonzero(self.options[at] >= 0), strict=True):
                form = _form(flow, int(self.formats[at, d, p]))
                total[at, d, p] += prices.crossing(form, *((home, d) if arrives else (d, home)))
        total[self.options < 0] = inf
        return np.asarray(total)

    def _steps(self, prices: Prices, picked: Integers, most_load_s: float) -> Array:
        """Return position -> device -> device of the next unit -> price between them."""
        length, count = len(self.order) - 1, len(self.problem.devices)
        formats = np.take_along_axis(self.formats, picked[..., None], axis=2)[..., 0]
        before, after = formats[:-1], formats[1:]
        at, d = np.arange(length)[:, None], np.arange(count)[None]
        crossing = np.zeros((length, len(self.problem.formats), count, count))
        for group in self.crossings.values():
            crossing += group.priced(prices)[:-1]
            if most_load_s < inf:
                crossing[group.slowest_s()[:-1] > most_load_s] = inf
        steps = crossing[at, before, d]
        steps += (self.leave[:-1] * prices.busy)[at, before, d][..., None]
        steps += (self.enter[:-1] * prices.busy)[at, before]
        steps += np.array([x.start_s for x in self.problem.devices]) * prices.busy
        into = self.switch_in[1:] * prices.busy + self.switch_noise[1:, :, None] * prices.noise
        switches = into[at, after, d][:, None] + (self.switch_out[1:] * prices.busy)[at, before]
        return np.asarray(steps + np.where(before[..., None] != after[:, None], switches, 0.0))

    def _add_flow(self, flow: Flow) -> None:
        readers = sorted(self.position[v] for v in flow.consumers if v in self.position)
        if flow.producer not in self.position:
            self._add_input(flow, readers)
            return
        at = self.position[flow.producer]
        for v in flow.consumers:
            if v not in self.position:
                self.ends.append((at, flow, self._home(v), False))
        if not flow.inherits:
            self._add_noise(flow, at, self.own_noise, 1.0)
        if readers:
            self._add_reading(flow, at, readers)

    def _add_input(self, flow: Flow, readers: Sequence[int]) -> None:
        for at in readers[:1]:
            self.ends.append((at, flow, self._home(flow.producer), True))
        for at in readers:
            self._add_noise(flow, at, self.own_noise, 1 / len(readers))

    def _add_reading(self, flow: Flow, at: int, readers: Sequence[int]) -> None:
        for reader in readers:
            self._add_noise(flow, reader, self.switch_noise, 1 / len(readers))
            for f in flow.formats[1:]:
                self.switch_in[reader, f] += np.array(flow.quantize_s[f]) / len(readers)
                self.switch_out[reader, f] += np.array(flow.dequantize_s[f]) / len(readers)
        last = readers[-1]
        for f in range(len(self.problem.formats)):
            form = _form(flow, f)
            key = form.routes
            if key not in self.crossings:
                self.crossings[key] = _Crossings(self.problem, form, len(self.order))
            self.crossings[key].add(form, f, at, last)
            for table, total in ((flow.leave_s, self.leave), (flow.enter_s, self.enter)):
                if table:
                    row = table[f] if f in flow.formats else table[FLOAT]
                    total[at, f] += row
                    total[last, f] -= row

    def _add_noise(self, flow: Flow, at: int, noise: Array, share: float) -> None:
        if self.order[at] in flow.quantizers:
            noise[at, : len(flow.noise_power)] += np.array(flow.noise_power) * share

    def _home(self, terminal: int) -> int:
        return self.problem.vertices[terminal].options[0].device


class _Crossings:
    """What crosses links at each end of a segment, of the tensors that take the same routes."""

    def __init__(self, problem: PlacementProblem, form: WireForm, length: int) -> None:
        count, links = len(problem.devices), len(problem.links)
        self.uses = np.zeros((count, count, links))
        self.blocked = np.zeros((count, count), bool)
        for a, b in product(range(count), repeat=2):
            route = form.routes[a][b]
            self.blocked[a, b] = route is None
            self.uses[a, b, list(route or ())] = 1.0
        # Seconds, bytes, joules of a link's source and of its target; at last the number of tensors.
        self.amounts = np.zeros((length, len(problem.formats), 5, links + 1))

    def add(self, form: WireForm, number: int, first: int, last: int) -> None:
        """Add a tensor that is needed from one position to another."""
        amounts = np.zeros(self.amounts.shape[2:])
        amounts[0, :-1] = form.link_s
        amounts[1, :-1] = form.size_bytes
        if form.link_j:
            amounts[2:4, :-1] = np.array(form.link_j).T.reshape(2, -1)
        amounts[4, -1] = 1.0
        self.amounts[first, number] += amounts
        self.amounts[last, number] -= amounts

    def slowest_s(self) -> Array:
        """Return position -> format -> from device -> to device -> seconds on the link that is busiest."""
        slowest = np.zeros((*self.amounts.shape[:2], *self.blocked.shape))
        for link in range(self.uses.shape[2]):
            seconds = self.amounts[:, :, 0, link, None, None] * self.uses[:, :, link]
            np.maximum(slowest, seconds, out=slowest)
        return slowest

    def priced(self, prices: Prices) -> Array:
        """Return position -> format -> from device -> to device -> price of all tensors there."""
        per_link = np.stack([prices.link, prices.traffic, prices.joules_source, prices.joules_target])
        on_links = (self.amounts[:, :, :4, :-1] * per_link).sum(axis=2)
        total = np.asarray(np.tensordot(on_links, self.uses, axes=(2, 2)))
        passing = np.rint(self.amounts[:, :, 4, -1]) > 0
        total[passing[:, :, None, None] & self.blocked] = inf
        return total


def _least_rows(units: Array, switches: Array) -> tuple[Integers, Array]:
    """Return the options of a least row on each device, and sums of their prices up to each unit."""
    length, count, width = units.shape
    back = np.zeros((length, count, width), np.int64)
    reached = units[0]
    for at in range(1, length if width > 1 else 0):
        ways = reached[:, :, None] + switches[at - 1]
        back[at] = ways.argmin(axis=1)
        reached = ways.min(axis=1) + units[at]
    every = np.arange(count)
    picked = np.zeros((length, count), np.int64)
    picked[-1] = reached.argmin(axis=1)
    for at in range(length - 1, 0, -1):
        picked[at - 1] = back[at, every, picked[at]]
    prices = units[np.arange(length)[:, None], every, picked]
    prices[1:] += switches[np.arange(length - 1)[:, None], every, picked[:-1], picked[1:]]
    return picked, np.vstack([np.zeros(count), np.cumsum(prices, axis=0)])


def _make_room(first: Integers, weights: Array, held: Array, most: float) -> None:
    """Let segments begin later until the largest that one of their units holds fits beside all weights."""
    begin = 0
    largest: deque[int] = deque()
    for done in range(1, len(first)):
        while largest and held[largest[-1]] <= held[done - 1]:
            largest.pop()
        largest.append(done - 1)
        begin = max(begin, int(first[done]))
        while largest and largest[0] < begin:
            largest.popleft()
        while largest and weights[done] - weights[begin] + held[largest[0]] > most:
            begin += 1
            while largest and largest[0] < begin:
                largest.popleft()
        first[done] = begin


def _option_table(problem: PlacementProblem, order: Sequence[int]) -> NDArray[np.int64]:
    """Return position -> device -> numbers of the unit's options there, padded with -1."""
    rows: list[list[list[int]]] = []
    for v in order:
        row: list[list[int]] = [[] for _ in problem.devices]
        for number, option in enumerate(problem.vertices[v].options):
            row[option.device].append(number)
        rows.append(row)
    width = max((len(x) for row in rows for x in row), default=1)
    table = [[[*x, *[-1] * (width - len(x))] for x in row] for row in rows]
    return np.array(table, np.int64).reshape(len(order), len(problem.devices), width)


def _form(flow: Flow, tensor_format: int) -> WireForm:
    return flow.forms[tensor_format if tensor_format in flow.formats else FLOAT]
