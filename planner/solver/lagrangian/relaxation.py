"""The problem without what couples everything: limits and order. What is left is a sum of small tables.

For prices of the limited quantities its least sum is a bound (Lagrangian relaxation: Geoffrion, "Lagrangean
relaxation for integer programming", Mathematical Programming Study 2, 1974).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.problem.units import Option
from planner.solver.lagrangian.multipliers import Multipliers
from planner.solver.lagrangian.variable_elimination import Network, Scope, Table

_MOST_ENTRIES = 60_000  # of one tensor's table; with more consumers each pays its share
_CLASH = -1


@dataclass(frozen=True, slots=True)
class Row:
    """A sum over a plan: prices of what it spends, and of one vertex's inputs and outputs on a device.

    Parameters
    ----------
    peak
        (vertex, device) whose activation bytes count, if the row is a memory's.
    byte
        Their price.
    """

    prices: Multipliers
    peak: tuple[int, int] | None = None
    byte: float = 0.0


@dataclass(frozen=True, slots=True)
class _Factor:
    """Way to cross -> row -> table over the options of a few vertices; the best way counts."""

    scope: Scope
    ways: tuple[tuple[Table, ...], ...]
    flow: int = 0


class LagrangianRelaxation:
    """The tables of a problem for some rows; `minimise` and `marginals` weigh the rows."""

    def __init__(self, problem: PlacementProblem, rows: Sequence[Row]) -> None:
        self.problem = problem
        self.options = [vertex.options for vertex in problem.vertices]
        self._sizes = [len(options) for options in self.options]
        self._rows = list(rows)
        self.devices = [np.array([o.device for o in options]) for options in self.options]
        self.requested_format = [np.array([o.format for o in options]) for options in self.options]
        self.common_format = _meeting(problem)
        self._ways_of: dict[object, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}
        self._unary = [[_unary(problem, options, v, row) for row in self._rows]
                       for v, options in enumerate(self.options)]  # fmt: skip
        self._factors: list[_Factor] = []
        for f, flow in enumerate(problem.flows):
            self._factors += self._flow(f, flow)
        self._factors += self._rules()
        scopes = [(v,) for v in range(len(self._sizes))]
        self._network = Network(self._sizes, [*scopes, *(factor.scope for factor in self._factors)])

    @property
    def states(self) -> int:
        """How many numbers one minimisation goes through."""
        return self._network.states

    def add_row(self, row: Row) -> None:
        """Add a row whose prices are only of vertices: weights, noise of units, activations."""
        self._rows.append(row)
        for v, options in enumerate(self.options):
            self._unary[v].append(_unary(self.problem, options, v, row))

    def max_contribution(self, row: int) -> float:
        """Return the most that a vertex's option, or a tensor, adds to a row."""
        unary = (float(np.ptp(rows[row])) for rows in self._unary)
        others = (float(np.ptp(way[row])) for factor in self._factors for way in factor.ways)
        return max((*unary, *others), default=0.0)

    def exclude_options(self, options: Sequence[NDArray[np.bool_]]) -> None:
        """Leave out options: vertex -> option -> whether it cannot be."""
        for rows, wrong in zip(self._unary, options, strict=True):
            rows[0] = np.where(wrong, inf, rows[0])

    def minimise(self, weights: Sequence[float]) -> tuple[float, list[int]]:
        """Return the least weighted sum of the rows, and each vertex's option."""
        return self._network.minimise(self._weighed(weights))

    def marginals(self, weights: Sequence[float]) -> list[Table]:
        """Return vertex -> option -> the least weighted sum with it."""
        return self._network.marginals(self._weighed(weights))

    def decode(self, weights: Sequence[float], options: Sequence[int]) -> tuple[Choice, list[float]]:
        """Return options with the wires that the weights prefer, and what each row is of them."""
        wires = [0] * len(self.problem.flows)
        sums = [0.0] * len(self._rows)
        for v, option in enumerate(options):
            for r, table in enumerate(self._unary[v]):
                sums[r] += table[option]
        for factor in self._factors:
            at = tuple(options[v] for v in factor.scope)
            costs = [[table[at] for table in way] for way in factor.ways]
            totals = [sum(w * c for w, c in zip(weights, row, strict=False)) for row in costs]
            way = totals.index(min(totals))
            if way:
                wires[factor.flow] = self.problem.flows[factor.flow].wires[way - 1]
            for r, cost in enumerate(costs[way]):
                sums[r] += cost
        return Choice(tuple(options), tuple(wires) if any(wires) else ()), sums

    def routes_mask(self, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return link -> from -> to -> whether it is passed, and from -> to -> whether there is no way."""
        if form.routes not in self._ways_of:
            self._ways_of[form.routes] = _passing(self.problem, form)
        return self._ways_of[form.routes]

    def _weighed(self, weights: Sequence[float]) -> list[Table]:
        unary = [_total(rows, weights) for rows in self._unary]
        others = []
        for factor in self._factors:
            tables = [_total(rows, weights) for rows in factor.ways]
            others.append(tables[0] if len(tables) == 1 else np.minimum.reduce(tables))
        return [*unary, *others]

    def _flow(self, f: int, flow: Flow) -> list[_Factor]:
        """Return the tables of a tensor: one over all that touch it, or one for each consumer's share."""
        scope = tuple(dict.fromkeys((flow.producer, *flow.consumers)))
        if prod(self._sizes[v] for v in scope) <= _MOST_ENTRIES:
            return [_Factor(scope, self._ways(flow, scope, flow.consumers, 1.0), f)]
        share = 1.0 / len(flow.consumers)
        return [
            _Factor((flow.producer, v), self._ways(flow, (flow.producer, v), (v,), share), f)
            for v in flow.consumers
        ]

    def _ways(
        self, flow: Flow, scope: Scope, consumers: Sequence[int], share: float
    ) -> tuple[tuple[Table, ...], ...]:
        """Return way to cross -> row -> seconds, joules and noise of a tensor, priced."""
        bill = _FlowCosts(self, flow, scope, consumers)
        return tuple(
            tuple(
                share * bill.priced(row.prices, wire) + (bill.forbidden(wire) if number == 0 else 0.0)
                for number, row in enumerate(self._rows)
            )
            for wire in (None, *flow.wires)
        )

    def _rules(self) -> list[_Factor]:
        """Return tables that are infinite where neighbours break a rule; other rules are left out."""
        scopes = [factor.scope for factor in self._factors]
        near = {frozenset(pair) for scope in scopes for pair in combinations(scope, 2)}
        found = []
        for v, w, wrong in _pairwise_rules(self.problem):
            if frozenset((v, w)) in near:
                options = product(self.options[v], self.options[w])
                table = np.array([inf if wrong(a, b) else 0.0 for a, b in options])
                table = table.reshape(self._sizes[v], self._sizes[w])
                nothing = np.zeros_like(table)
                found.append(_Factor((v, w), ((table, *(nothing for _ in self._rows[1:])),)))
        return found


def _pairwise_rules(
    problem: PlacementProblem,
) -> Iterator[tuple[int, int, Callable[[Option, Option], bool]]]:
    """Yield (vertex, vertex, whether two of their options break a rule)."""

    def alone(a: Option, b: Option) -> bool:
        return problem.has_kernels(a) and (a.format, a.device) != (b.format, b.device)

    def parted(a: Option, b: Option) -> bool:
        return problem.physical_device(a.device) != problem.physical_device(b.device)

    def joined(a: Option, b: Option) -> bool:
        return not parted(a, b)

    for v, vertex in enumerate(problem.vertices):
        yield from ((v, w, alone) for w in vertex.coupled_with)
    for group in problem.together:
        yield from ((v, w, parted) for v, w in combinations(group, 2))
    yield from ((v, w, joined) for v, w in problem.apart)


def _total(rows: Sequence[Table], weights: Sequence[float]) -> Table:
    # What is infinite is forbidden, whatever the objective's weight.
    total = rows[0] * weights[0] if weights[0] else np.where(np.isinf(rows[0]), inf, 0.0)
    for table, weight in zip(rows[1:], weights[1:], strict=False):
        if weight:
            total = total + weight * table
    return total


def _unary(problem: PlacementProblem, options: Sequence[Option], vertex: int, row: Row) -> Table:
    """Return what the options cost, with a unit's equal share of the start of its stage.

    The shares of the units on a device are at most its start, which is paid whole if there is any.
    """
    prices = row.prices
    units = sum(not one.is_terminal for one in problem.vertices)
    share = 0.0 if problem.vertices[vertex].is_terminal else 1.0 / units
    if row.peak is not None and row.peak[0] == vertex:
        held = [
            row.byte * o.activation_bytes * (problem.physical_device(o.device) == row.peak[1])
            for o in options
        ]
    else:
        held = [0.0] * len(options)
    return np.array(
        [
            prices.busy[o.device] * (o.seconds + share * problem.devices[o.device].start_s)
            + prices.joule[problem.physical_device(o.device)] * o.joules
            + prices.weight[problem.physical_device(o.device)] * o.weight_bytes
            + prices.noise * o.noise_power
            + more
            for o, more in zip(options, held, strict=True)
        ]
    )


def _meeting(problem: PlacementProblem) -> NDArray[np.int64]:
    """Return (format so far, format asked) -> format that suits both, or _CLASH."""
    count = len(problem.formats)
    table = np.full((count + 1, count), _CLASH)  # the last row is that of a clash
    for one in range(count):
        for other in range(count):
            if FLOAT in (one, other):
                table[one, other] = max(one, other)
            else:
                both = set(problem.formats[one].accepts) & set(problem.formats[other].accepts) & {one, other}
                table[one, other] = min(both, default=_CLASH)
    return table


class _FlowCosts:
    """What a tensor spends, as arrays over the options of the vertices in its scope."""

    def __init__(
        self, relaxation: LagrangianRelaxation, flow: Flow, scope: Scope, consumers: Sequence[int]
    ) -> None:
        self._relaxation, self._flow, self._problem = relaxation, flow, relaxation.problem
        self._consumers = consumers
        self._axes = {v: axis for axis, v in enumerate(scope)}
        shape = [len(relaxation.options[v]) for v in scope]
        self.nothing = np.zeros(shape)
        self._device = {v: self._spread(v, relaxation.devices[v]) for v in scope}
        self._asks = {v: self._spread(v, relaxation.requested_format[v]) for v in scope}
        kind = np.zeros(shape, dtype=np.int64)
        for v in flow.quantizers:
            if v in self._axes:
                kind = relaxation.common_format[kind, self._asks[v]]
        self._kind = kind
        fixed = [vertex.is_terminal for vertex in self._problem.vertices]
        self._units = [v for v in consumers if not fixed[v]]
        self._starts_at_unit = not fixed[flow.producer]
        home = self._device[flow.producer]
        devices = range(len(self._problem.devices))
        self._away = [self._any(consumers, d) & (home != d) for d in devices]
        self._units_away = [self._any(self._units, d) & (home != d) for d in devices]

    def _spread(self, vertex: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
        shape = [1] * len(self._axes)
        shape[self._axes[vertex]] = -1
        return values.reshape(shape)

    def _any(self, vertices: Sequence[int], device: int) -> NDArray[np.bool_]:
        found = np.zeros([1] * len(self._axes), dtype=bool)
        for v in vertices:
            found = found | (self._device[v] == device)
        return found

    def priced(self, prices: Multipliers, wire: int | None) -> Table:
        """Return the tensor's cost at some prices, a float tensor crossing links in a form."""
        total = self.nothing
        if any((*prices.link, *prices.byte, *prices.joule)):
            for kind, form in self._forms(wire):
                total = np.where(self._kind == kind, self._crossed(prices, form), total)
        if prices.noise:
            total = total + prices.noise * self._noise()
        if any(prices.busy):
            total = total + self._busy(prices)
        if wire is not None and (prices.noise or any(prices.busy)):
            total = total + self._converted(prices, self._flow.forms[wire])
        return total

    def forbidden(self, wire: int | None) -> Table:
        """Return infinity where formats clash or there is no way, else 0."""
        home = self._device[self._flow.producer]
        wrong = self._kind == _CLASH
        for kind, form in self._forms(wire):
            lost = self._relaxation.routes_mask(form)[1]
            for v in self._consumers if lost.any() else ():
                wrong = wrong | ((self._kind == kind) & lost[home, self._device[v]])
        return np.where(wrong, inf, 0.0)

    def _forms(self, wire: int | None) -> Iterator[tuple[int, WireForm]]:
        """Yield (format, form in which it crosses)."""
        for kind in self._flow.formats:
            yield kind, self._flow.forms[wire if wire is not None and kind == FLOAT else kind]

    def _crossed(self, prices: Multipliers, form: WireForm) -> Table:
        """Return the cost of links, each once whatever the number of consumers behind it."""
        costs = _link_costs(self._problem, prices, form)
        passes = self._relaxation.routes_mask(form)[0]
        home = self._device[self._flow.producer]
        total = self.nothing
        for link in np.flatnonzero(costs):
            used = passes[link][home, self._device[self._consumers[0]]]
            for v in self._consumers[1:]:
                used = used | passes[link][home, self._device[v]]
            total = total + costs[link] * used
        return total

    def _noise(self) -> Table:
        noise = np.array(self._flow.noise_power)[self._kind]
        if self._flow.inherits:
            own = self._asks[self._flow.producer] == self._kind
            noise = np.where(own, 0.0, noise)
        return noise

    def _busy(self, prices: Multipliers) -> Table:
        """Return the cost of switches, and of stages that end or begin here."""
        flow, total = self._flow, self.nothing
        home = self._device[flow.producer]
        busy = np.array(prices.busy)
        for kind in flow.formats[1:]:
            spent = self.nothing
            raw = self._asks[flow.producer] != kind
            seconds = busy * np.array(flow.quantize_s[kind])
            if flow.converts_at_consumer:
                for d in np.flatnonzero(seconds):
                    spent = spent + seconds[d] * (self._any(self._consumers, d) & raw)
            else:
                spent = spent + seconds[home] * raw
            for d in np.flatnonzero(busy * np.array(flow.dequantize_s[kind])):
                reading = np.zeros([1] * len(self._axes), dtype=bool)
                for v in self._consumers:
                    reading = reading | ((self._device[v] == d) & (self._asks[v] != kind))
                spent = spent + busy[d] * flow.dequantize_s[kind][d] * reading
            total = np.where(self._kind == kind, spent, total)
        return total + self._seams(busy)

    def _seams(self, busy: Table) -> Table:
        total, flow = self.nothing, self._flow
        if not self._starts_at_unit or not (flow.leave_s or flow.enter_s):
            return total
        home = self._device[flow.producer]
        leaves = np.logical_or.reduce(np.broadcast_arrays(*self._units_away))
        if flow.leave_s:
            total = total + np.where(leaves, (busy * np.array(flow.leave_s))[self._kind, home], 0.0)
        for d, entered in enumerate(self._units_away):
            if flow.enter_s:
                seconds = busy[d] * np.array([row[d] for row in flow.enter_s])
                total = total + np.where(entered, seconds[self._kind], 0.0)
        return total

    def _converted(self, prices: Multipliers, form: WireForm) -> Table:
        """Return the cost of a float tensor's conversion for its crossings."""
        total = np.where(
            np.logical_or.reduce(np.broadcast_arrays(*self._away)),
            (np.array(prices.busy) * np.array(form.encode_s or (0.0,) * len(prices.busy)))[
                self._device[self._flow.producer]
            ]
            + prices.noise * form.noise_power,
            0.0,
        )
        for d, entered in enumerate(self._away if form.decode_s else ()):
            total = total + prices.busy[d] * form.decode_s[d] * entered
        settled: Table = np.where(self._kind == FLOAT, total, 0.0)
        return settled


def _link_costs(problem: PlacementProblem, prices: Multipliers, form: WireForm) -> Table:
    seconds = np.array(prices.link) * np.array(form.link_s)
    costs: Table = seconds + np.array(prices.byte) * form.size_bytes
    if form.link_j and any(prices.joule):
        for at, link in enumerate(problem.links):
            for device, joules in zip((link.source, link.target), form.link_j[at], strict=True):
                costs[at] += prices.joule[problem.physical_device(device)] * joules
    return costs


def _passing(problem: PlacementProblem, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return link -> from -> to -> whether a message passes it, and from -> to -> whether there is no way."""
    count = len(problem.devices)
    passes = np.zeros((len(problem.links), count, count), dtype=bool)
    lost = np.zeros((count, count), dtype=bool)
    for a, row in enumerate(form.routes):
        for b, route in enumerate(row):
            lost[a, b] = route is None
            passes[list(route or ()), a, b] = True
    return passes, lost
