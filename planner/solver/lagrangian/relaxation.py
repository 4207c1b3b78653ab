"""The problem without what couples everything: limits and order. What is left is a sum of small tables.

For any multipliers of the limited quantities its least sum is a bound (Lagrangian relaxation: Geoffrion,
"Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.problem.units import Option
from planner.solver.lagrangian.linear_quantity import Multipliers
from planner.solver.lagrangian.tree_decomposition import Network, Scope, Table

# Of one tensor's table over all that touch it. With more consumers each pays its share in a table of its own,
# which is still a bound, but a weaker one.
_MOST_ENTRIES = 60_000
DeviceOrder = frozenset[tuple[int, int]]  # (device, device whose stage runs after its own)
_CLASH = -1  # the format of a tensor that is asked for in two that do not go together


@dataclass(frozen=True, slots=True)
class LinearRow:
    """A sum over a plan: multiples of what it spends, and of one vertex's inputs and outputs on a device.

    Parameters
    ----------
    peak
        (vertex, device) whose activation bytes count, if the row is a memory's.
    byte
        The multiplier of these bytes.
    """

    multipliers: Multipliers
    peak: tuple[int, int] | None = None
    byte: float = 0.0


@dataclass(frozen=True, slots=True)
class _Factor:
    """Tables over the options of a few vertices: way to cross -> row -> table; the cheapest way counts.

    Parameters
    ----------
    ways
        Each table has an axis per vertex of the scope, of length 1 where it does not depend on that vertex.
    edges
        (axis of a producer, axis of its consumer) where both are units: these are kept in order.
    """

    scope: Scope
    ways: tuple[tuple[Table, ...], ...]
    flow: int = 0
    edges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AddedTables:
    """What is added to the weighted rows: vertex -> table, tensor's table -> way to cross -> table."""

    vertices: Sequence[Table]
    tensors: Sequence[Sequence[Table]]


class LagrangianRelaxation:
    """The tables of a problem for some rows; `minimise` and `marginals` weigh the rows.

    Parameters
    ----------
    rows
        The objective first, then the limits as sums that are at most 1.
    """

    def __init__(self, problem: PlacementProblem, rows: Sequence[LinearRow]) -> None:
        self.problem = problem
        self.options = [vertex.options for vertex in problem.vertices]
        self._sizes = [len(options) for options in self.options]
        self._rows = list(rows)
        self.devices = [np.array([o.device for o in options]) for options in self.options]
        self.requested_format = [np.array([o.format for o in options]) for options in self.options]
        self.common_format = _common_formats(problem)
        self._route_masks: dict[object, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}
        self._unary = [[_unary(problem, options, v, row) for row in self._rows]
                       for v, options in enumerate(self.options)]  # fmt: skip
        self._factors: list[_Factor] = []
        for f, flow in enumerate(problem.flows):
            self._factors += self._flow(f, flow)
        # Tensor and vertices of each of its tables.
        self.tensor_scopes = [(factor.flow, factor.scope) for factor in self._factors]
        self._factors += self._rules()
        self._excluded: dict[int, Table] = {}
        self._backward: list[Table | None] = [None] * len(self._factors)
        # A table per vertex, then one per factor, in the order in which `_weighed` gives them.
        scopes = [(v,) for v in range(len(self._sizes))]
        self._network = Network(self._sizes, [*scopes, *map(self._scope, self._factors)])

    @property
    def states(self) -> int:
        """How many numbers one minimisation goes through."""
        return self._network.states

    def add_row(self, row: LinearRow) -> None:
        """Add a row that only vertices spend on: weights, noise of units, activations."""
        self._rows.append(row)
        for v, options in enumerate(self.options):
            self._unary[v].append(_unary(self.problem, options, v, row))

    def max_contribution(self, row: int) -> float:
        """Return the most that a vertex's option, or a tensor, adds to a row."""
        unary = (float(np.ptp(rows[row])) for rows in self._unary)
        tensors = (float(np.ptp(way[row])) for factor in self._factors for way in factor.ways)
        return max((*unary, *tensors), default=0.0)

    def exclude_options(self, options: Sequence[NDArray[np.bool_]]) -> None:
        """Leave out options: vertex -> option -> whether it cannot be."""
        for rows, excluded in zip(self._unary, options, strict=True):
            # The objective's row: what is infinite there stays so at any multipliers.
            rows[0] = np.where(excluded, inf, rows[0])

    def duplicate(self) -> "LagrangianRelaxation":
        """Return a relaxation of its own: what is added to or left out of it stays in this one as it was."""
        other = copy(self)
        other._rows, other._factors = list(self._rows), list(self._factors)  # noqa: SLF001 (its own class)
        other._unary = [list(rows) for rows in self._unary]  # noqa: SLF001
        return other

    def exclude_above(self, row: int, most: float) -> None:
        """Leave out each option, and each way of a tensor, that alone spends more than this of a row."""
        self.exclude_options([rows[row] > most for rows in self._unary])
        # In place: restricted relaxations share the list.
        self._factors[:] = [
            replace(factor, ways=tuple(_without_above(way, row, most) for way in factor.ways))
            for factor in self._factors
        ]

    def restricted(
        self, order: DeviceOrder, excluded: Mapping[int, NDArray[np.bool_]]
    ) -> "LagrangianRelaxation":
        """Return this relaxation with no tensor of a unit going against an order of devices.

        Rows and the options that are excluded for good stay shared with this one.

        Parameters
        ----------
        excluded
            Vertex -> option -> whether it is left out here, too.
        """
        restricted = copy(self)
        restricted._excluded = {  # noqa: SLF001 (its own class)
            v: np.where(options, inf, 0.0) for v, options in excluded.items()
        }
        against = np.zeros((len(self.problem.devices),) * 2, dtype=bool)
        for before, after in order:
            against[after, before] = True
        restricted._backward = [  # noqa: SLF001
            self._against(factor, against) for factor in self._factors
        ]
        return restricted

    def _against(self, factor: _Factor, against: NDArray[np.bool_]) -> Table | None:
        """Return infinity where an edge of a table goes against the order; None if none can."""
        total = np.zeros([1] * len(factor.scope), dtype=bool)
        for producer, consumer in factor.edges:
            ends = []
            for axis in (producer, consumer):
                shape = [1] * len(factor.scope)
                shape[axis] = -1
                ends.append(self.devices[factor.scope[axis]].reshape(shape))
            total = total | against[ends[0], ends[1]]
        return np.where(total, inf, 0.0) if total.any() else None

    def minimise(self, weights: Sequence[float], added: AddedTables | None = None) -> tuple[float, list[int]]:
        """Return the least weighted sum of the rows, and each vertex's option."""
        return self._network.minimise(self._weighed(weights, added))

    def marginals(self, weights: Sequence[float], added: AddedTables | None = None) -> list[Table]:
        """Return vertex -> option -> the least weighted sum with it."""
        return self._network.marginals(self._weighed(weights, added))

    def decode(
        self, weights: Sequence[float], options: Sequence[int], added: AddedTables | None = None
    ) -> tuple[Choice, list[float]]:
        """Return options with the wires that the weights prefer, and what each row is of them."""
        wires = [0] * len(self.problem.flows)
        sums = [0.0] * len(self._rows)
        for v, option in enumerate(options):
            for r, table in enumerate(self._unary[v]):
                sums[r] += table[option]
        for number, factor in enumerate(self._factors):
            indices = [self._index(factor, way, weights, options) for way in factor.ways]
            costs = [
                [_entry(table, index) for table in way]
                for way, index in zip(factor.ways, indices, strict=True)
            ]
            totals = [sum(w * c for w, c in zip(weights, row, strict=False)) for row in costs]
            if added is not None and len(totals) > 1:
                entries = zip(added.tensors[number], indices, strict=True)
                more = (_entry(table, index) for table, index in entries)
                totals = [total + x for total, x in zip(totals, more, strict=True)]
            cheapest = totals.index(min(totals))
            if cheapest:
                wires[factor.flow] = self.problem.flows[factor.flow].wires[cheapest - 1]
            for r, cost in enumerate(costs[cheapest]):
                sums[r] += cost
        return Choice(tuple(options), tuple(wires) if any(wires) else ()), sums

    def routes_mask(self, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which links a form's routes use, and which devices they do not reach.

        Shapes [links, devices, devices] and [devices, devices], the latter two from and to.
        """
        if form.routes not in self._route_masks:
            self._route_masks[form.routes] = _route_masks(self.problem, form)
        return self._route_masks[form.routes]

    def _weighed(self, weights: Sequence[float], added: AddedTables | None) -> list[Table]:
        unary = [_total(rows, weights) for rows in self._unary]
        if added is not None:
            unary = [row + more for row, more in zip(unary, added.vertices, strict=True)]
        for v, excluded in self._excluded.items():
            unary[v] = unary[v] + excluded
        tensors = []
        for number, (factor, backward) in enumerate(zip(self._factors, self._backward, strict=True)):
            tables = [_total(rows, weights) for rows in factor.ways]
            if added is not None and number < len(added.tensors):
                tables = [table + x for table, x in zip(tables, added.tensors[number], strict=True)]
            cheapest = tables[0] if len(tables) == 1 else np.minimum.reduce(np.broadcast_arrays(*tables))
            with_order = cheapest if backward is None else cheapest + backward
            table = np.broadcast_to(with_order, self._shape(factor))
            unseen = tuple(range(len(self._scope(factor)), table.ndim))
            tensors.append(table.min(axis=unseen) if unseen else table)
        return [*unary, *tensors]

    def _scope(self, factor: _Factor) -> Scope:
        """Return the vertices over whose options a table is taken into account."""
        return factor.scope

    def _index(
        self, factor: _Factor, way: Sequence[Table], weights: Sequence[float], options: Sequence[int]
    ) -> tuple[int, ...]:
        """Return the entry of a way's tables that counts where the vertices have some options."""
        seen = self._scope(factor)
        fixed = tuple(options[v] for v in seen)
        if len(seen) == len(factor.scope):
            return fixed
        others = np.broadcast_to(_total(way, weights), self._shape(factor))[fixed]
        return *fixed, *(int(i) for i in np.unravel_index(int(others.argmin()), others.shape))

    def _shape(self, factor: _Factor) -> tuple[int, ...]:
        return tuple(self._sizes[v] for v in factor.scope)

    def _flow(self, f: int, flow: Flow) -> list[_Factor]:
        """Return the tables of a tensor: one over all that touch it, or one for each consumer's share."""
        scope = tuple(dict.fromkeys((flow.producer, *flow.consumers)))
        if prod(self._sizes[v] for v in scope) <= _MOST_ENTRIES:
            return [_Factor(scope, self._ways(flow, scope, flow.consumers, 1.0), f, self._edges(flow, scope))]
        # The sum of the shares is at most what the tensor costs, so that the result is still a bound.
        share = 1.0 / len(flow.consumers)
        return [
            _Factor(scope, self._ways(flow, scope, scope[1:], share), f, self._edges(flow, scope))
            for scope in ((flow.producer, v) for v in flow.consumers)
        ]

    def _edges(self, flow: Flow, scope: Scope) -> tuple[tuple[int, int], ...]:
        """Return the axes of a tensor's producer and of each consumer, where both are units."""
        vertices = self.problem.vertices
        if vertices[flow.producer].is_terminal:
            return ()
        consumers = [v for v in scope if v in flow.consumers and not vertices[v].is_terminal]
        return tuple((0, scope.index(v)) for v in consumers)

    def _ways(
        self, flow: Flow, scope: Scope, consumers: Sequence[int], share: float
    ) -> tuple[tuple[Table, ...], ...]:
        """Return way to cross -> row -> cost of a tensor; what is forbidden is infinite in the first row."""
        costs = _FlowCosts(self, flow, scope, consumers)
        return tuple(
            tuple(
                share * costs.cost(row.multipliers, wire) + (costs.forbidden(wire) if number == 0 else 0.0)
                for number, row in enumerate(self._rows)
            )
            for wire in (None, *flow.wires)
        )

    def _rules(self) -> list[_Factor]:
        """Return tables that are infinite where neighbours break a rule; other rules are left out."""
        scopes = [factor.scope for factor in self._factors]
        adjacent = {frozenset(pair) for scope in scopes for pair in combinations(scope, 2)}
        factors = []
        for v, w, breaks_rule in _pairwise_rules(self.problem):
            # A rule between vertices that share no table would join more variables, at a higher tree width.
            if frozenset((v, w)) in adjacent:
                options = product(self.options[v], self.options[w])
                table = np.array([inf if breaks_rule(a, b) else 0.0 for a, b in options])
                table = table.reshape(self._sizes[v], self._sizes[w])
                zeros = np.zeros_like(table)
                factors.append(_Factor((v, w), ((table, *(zeros for _ in self._rows[1:])),)))
        return factors


class SeparateUnits(LagrangianRelaxation):
    """A weaker relaxation for any graph: each tensor is read by whatever options it is cheapest for.

    What is left is a choice for each vertex by itself.
    """

    def _scope(self, factor: _Factor) -> Scope:
        return factor.scope[:1]


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


def _without_above(way: tuple[Table, ...], row: int, most: float) -> tuple[Table, ...]:
    """Return the tables of a way to cross, infinite in the objective where a row has more than this."""
    above = way[row] > most
    return (np.where(above, inf, way[0]), *way[1:]) if above.any() else way


def _entry(table: Table, index: tuple[int, ...]) -> float:
    """Return an entry of a table whose axes may have length 1."""
    return float(table[tuple(min(i, size - 1) for i, size in zip(index, table.shape, strict=True))])


def _total(rows: Sequence[Table], weights: Sequence[float]) -> Table:
    # What is infinite is forbidden, whatever the objective's weight.
    total = rows[0] * weights[0] if weights[0] else np.where(np.isinf(rows[0]), inf, 0.0)
    for table, weight in zip(rows[1:], weights[1:], strict=False):
        if weight:
            total = total + weight * table
    return total


def _unary(problem: PlacementProblem, options: Sequence[Option], vertex: int, row: LinearRow) -> Table:
    """Return what the options cost, with a unit's equal share of the start of its stage.

    The shares of the units on a device are at most its start, which is paid whole if there is any.
    """
    multipliers = row.multipliers
    # Whichever units are on a device, their shares of its start are at most all of it.
    units = sum(not other.is_terminal for other in problem.vertices)
    share = 0.0 if problem.vertices[vertex].is_terminal else 1.0 / units
    if row.peak is not None and row.peak[0] == vertex:
        activation_costs = [
            row.byte * o.activation_bytes * (problem.physical_device(o.device) == row.peak[1])
            for o in options
        ]
    else:
        activation_costs = [0.0] * len(options)
    return np.array(
        [
            multipliers.busy[o.device] * (o.seconds + share * problem.devices[o.device].start_s)
            + multipliers.joule[problem.physical_device(o.device)] * o.joules
            + multipliers.weight[problem.physical_device(o.device)] * o.weight_bytes
            + multipliers.noise[problem.vertices[vertex].model] * o.noise_power
            + activation_cost
            for o, activation_cost in zip(options, activation_costs, strict=True)
        ]
    )


def _common_formats(problem: PlacementProblem) -> NDArray[np.int64]:
    """Return (format so far, format asked for) -> format that both accept, or _CLASH.

    Shape [formats + 1, formats].
    """
    count = len(problem.formats)
    # Index -1, a clash so far, addresses the last row: a clash stays one.
    table = np.full((count + 1, count), _CLASH)  # the last row is that of a clash
    for so_far in range(count):
        for request in range(count):
            if FLOAT in (so_far, request):
                table[so_far, request] = max(so_far, request)
            else:
                common = (
                    set(problem.formats[so_far].accepts)
                    & set(problem.formats[request].accepts)
                    & {so_far, request}
                )
                table[so_far, request] = min(common, default=_CLASH)
    return table


class _FlowCosts:
    """What a tensor spends, as arrays over the options of the vertices in its scope.

    Each array has an axis per vertex of the scope, of length 1 where it does not depend on that vertex.
    """

    def __init__(
        self, relaxation: LagrangianRelaxation, flow: Flow, scope: Scope, consumers: Sequence[int]
    ) -> None:
        self._relaxation, self._flow, self._problem = relaxation, flow, relaxation.problem
        self._consumers, self._model = consumers, relaxation.problem.flow_model(flow)
        self._axes = {v: axis for axis, v in enumerate(scope)}
        self.zeros = np.zeros([1] * len(scope))
        self._device = {v: self._spread(v, relaxation.devices[v]) for v in scope}
        self._requested = {v: self._spread(v, relaxation.requested_format[v]) for v in scope}
        tensor_format = np.zeros([1] * len(scope), dtype=np.int64)
        for v in flow.quantizers:
            if v in self._axes:
                tensor_format = relaxation.common_format[tensor_format, self._requested[v]]
        self._tensor_format = tensor_format
        is_terminal = [vertex.is_terminal for vertex in self._problem.vertices]
        self._units = [v for v in consumers if not is_terminal[v]]
        self._starts_at_unit = not is_terminal[flow.producer]
        producer_device = self._device[flow.producer]
        devices = range(len(self._problem.devices))
        self._received = [self._any(consumers, d) & (producer_device != d) for d in devices]
        self._received_by_units = [self._any(self._units, d) & (producer_device != d) for d in devices]

    def _spread(self, vertex: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
        shape = [1] * len(self._axes)
        shape[self._axes[vertex]] = -1
        return values.reshape(shape)

    def _any(self, vertices: Sequence[int], device: int) -> NDArray[np.bool_]:
        on_device = np.zeros([1] * len(self._axes), dtype=bool)
        for v in vertices:
            on_device = on_device | (self._device[v] == device)
        return on_device

    def cost(self, multipliers: Multipliers, wire: int | None) -> Table:
        """Return the tensor's cost at some multipliers, a float tensor crossing links in a form."""
        total = self.zeros
        noise = multipliers.noise[self._model]
        if any((*multipliers.link, *multipliers.model_link, *multipliers.byte, *multipliers.joule)):
            for tensor_format, form in self._forms(wire):
                total = np.where(
                    self._tensor_format == tensor_format, self._crossed(multipliers, form), total
                )
        if noise:
            total = total + noise * self._noise()
        if any(multipliers.busy):
            total = total + self._busy(multipliers)
        if wire is not None and (noise or any(multipliers.busy)):
            total = total + self._converted(multipliers, self._flow.forms[wire])
        return total

    def forbidden(self, wire: int | None) -> Table:
        """Return infinity where formats clash or no links lead to a consumer, else 0."""
        producer_device = self._device[self._flow.producer]
        impossible = self._tensor_format == _CLASH
        for tensor_format, form in self._forms(wire):
            unreachable = self._relaxation.routes_mask(form)[1]
            for v in self._consumers if unreachable.any() else ():
                impossible = impossible | (
                    (self._tensor_format == tensor_format) & unreachable[producer_device, self._device[v]]
                )
        return np.where(impossible, inf, 0.0)

    def _forms(self, wire: int | None) -> Iterator[tuple[int, WireForm]]:
        """Yield (format, form in which it crosses)."""
        for tensor_format in self._flow.formats:
            yield (
                tensor_format,
                self._flow.forms[wire if wire is not None and tensor_format == FLOAT else tensor_format],
            )

    def _crossed(self, multipliers: Multipliers, form: WireForm) -> Table:
        """Return the cost of links, each once whatever the number of consumers behind it."""
        costs = _link_costs(self._problem, multipliers, form)
        costs = costs + multipliers.model_link[self._model] * np.array(form.link_s)
        passes = self._relaxation.routes_mask(form)[0]
        producer_device = self._device[self._flow.producer]
        total = self.zeros
        for link in np.flatnonzero(costs):
            used = passes[link][producer_device, self._device[self._consumers[0]]]
            for v in self._consumers[1:]:
                used = used | passes[link][producer_device, self._device[v]]
            total = total + costs[link] * used
        return total

    def _noise(self) -> Table:
        noise = np.array(self._flow.noise_power)[self._tensor_format]
        if self._flow.inherits:
            producer_asks = self._requested[self._flow.producer] == self._tensor_format
            noise = np.where(producer_asks, 0.0, noise)
        return noise

    def _busy(self, multipliers: Multipliers) -> Table:
        """Return the cost of switches, and of stages that end or begin here."""
        flow, total = self._flow, self.zeros
        producer_device = self._device[flow.producer]
        busy = np.array(multipliers.busy)
        for tensor_format in flow.formats[1:]:
            format_cost = self.zeros
            arises_otherwise = self._requested[flow.producer] != tensor_format
            seconds = busy * np.array(flow.quantize_s[tensor_format])
            if flow.converts_at_consumer:
                for d in np.flatnonzero(seconds):
                    format_cost = format_cost + seconds[d] * (
                        self._any(self._consumers, d) & arises_otherwise
                    )
            else:
                format_cost = format_cost + seconds[producer_device] * arises_otherwise
            for d in np.flatnonzero(busy * np.array(flow.dequantize_s[tensor_format])):
                reading = np.zeros([1] * len(self._axes), dtype=bool)
                for v in self._consumers:
                    reading = reading | ((self._device[v] == d) & (self._requested[v] != tensor_format))
                format_cost = format_cost + busy[d] * flow.dequantize_s[tensor_format][d] * reading
            total = np.where(self._tensor_format == tensor_format, format_cost, total)
        return total + self._stage_boundaries(busy)

    def _stage_boundaries(self, busy: Table) -> Table:
        total, flow = self.zeros, self._flow
        if not self._starts_at_unit or not (flow.leave_s or flow.enter_s):
            return total
        producer_device = self._device[flow.producer]
        leaves = np.logical_or.reduce(np.broadcast_arrays(*self._received_by_units))
        if flow.leave_s:
            total = total + np.where(
                leaves, (busy * np.array(flow.leave_s))[self._tensor_format, producer_device], 0.0
            )
        for d, entered in enumerate(self._received_by_units):
            if flow.enter_s:
                seconds = busy[d] * np.array([row[d] for row in flow.enter_s])
                total = total + np.where(entered, seconds[self._tensor_format], 0.0)
        return total

    def _converted(self, multipliers: Multipliers, form: WireForm) -> Table:
        """Return the cost of a float tensor's conversion for its crossings."""
        total = np.where(
            np.logical_or.reduce(np.broadcast_arrays(*self._received)),
            (np.array(multipliers.busy) * np.array(form.encode_s or (0.0,) * len(multipliers.busy)))[
                self._device[self._flow.producer]
            ]
            + multipliers.noise[self._model] * form.noise_power,
            0.0,
        )
        for d, entered in enumerate(self._received if form.decode_s else ()):
            total = total + multipliers.busy[d] * form.decode_s[d] * entered
        where_float: Table = np.where(self._tensor_format == FLOAT, total, 0.0)
        return where_float


def _link_costs(problem: PlacementProblem, multipliers: Multipliers, form: WireForm) -> Table:
    seconds = np.array(multipliers.link) * np.array(form.link_s)
    costs: Table = seconds + np.array(multipliers.byte) * form.size_bytes
    if form.link_j and any(multipliers.joule):
        for number, link in enumerate(problem.links):
            for device, joules in zip((link.source, link.target), form.link_j[number], strict=True):
                costs[number] += multipliers.joule[problem.physical_device(device)] * joules
    return costs


def _route_masks(problem: PlacementProblem, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return link -> from -> to -> whether the route uses it, and from -> to -> whether there is none."""
    count = len(problem.devices)
    passes = np.zeros((len(problem.links), count, count), dtype=bool)
    unreachable = np.zeros((count, count), dtype=bool)
    for a, row in enumerate(form.routes):
        for b, route in enumerate(row):
            unreachable[a, b] = route is None
            passes[list(route or ()), a, b] = True
    return passes, unreachable
