"""The problem without what couples everything: limits and order. What is left is a sum of small tables.

For any multipliers of the limited quantities its least sum is a bound (Lagrangian relaxation: Geoffrion,
"Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import combinations, product
from math import inf, prod

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.problem.units import Option
from planner.solver.device_order import DeviceOrder
from planner.solver.lagrangian.elimination_order import Scope, eliminate
from planner.solver.lagrangian.linear_quantity import Multipliers
from planner.solver.lagrangian.option_table import OptionTable
from planner.solver.lagrangian.table_stack import TableStack, Ways, stacked, weighed_sum
from planner.solver.lagrangian.tree_decomposition import Network, Table, states_of

# Of one tensor's table over all that touch it. With more consumers each pays its share in a table of its own,
# which is still a bound, but a weaker one. Less where all tables together would be too large.
_MOST_ENTRIES = (60_000, 6_000, 0)
_MOST_STATES = 3e7  # numbers per minimisation, so that a round takes seconds; beyond, no bound is tried
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
    """What tables over the options of a few vertices belong to: a tensor, or a rule.

    The tables are way to cross -> row -> table; the cheapest way counts. Each has an axis per vertex of the
    scope, over its kinds of options, of length 1 where it does not depend on that vertex.

    Parameters
    ----------
    edges
        (axis of a producer, axis of its consumer) where both are units: these are kept in order.
    share
        What part of a tensor's cost the tables have: it costs no less than a table by this.
    """

    scope: Scope
    flow: int = 0
    edges: tuple[tuple[int, int], ...] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class _FinalFormat:
    """The format of a tensor; of None it is what those ask for who are in a table's scope.

    Parameters
    ----------
    origins
        What those may ask for together, where others ask, too.
    """

    format: int | None
    origins: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class AddedTables:
    """What is added to the weighted rows: vertex -> option's, tensor's table -> wire or none -> table."""

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
        self.is_terminal = [vertex.is_terminal for vertex in problem.vertices]
        self.options = OptionTable(problem)
        self.devices, self.kinds = self.options.devices, self.options.kinds
        self._sizes = [len(kinds.devices) for kinds in self.kinds]
        self._rows = list(rows)
        self.common_format = _common_formats(problem)
        self._route_masks: dict[object, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}
        self._excluded: dict[int, Table] = {}
        self.states, self._most_entries = self._tractable()
        if self.is_worth_while:
            self._build_tables()

    def _build_tables(self) -> None:
        # Row -> what each option costs, all vertices' options in a row.
        self._unary = [self.options.costs(row.multipliers, row.peak, row.byte) for row in self._rows]
        tables = [table for f, flow in enumerate(self.problem.flows) for table in self._flow(f, flow)]
        # Tensor and vertices of each of its tables.
        self.tensor_scopes = [(factor.flow, factor.scope) for factor, _ in tables]
        tables += self._rules()
        self._factors = [factor for factor, _ in tables]
        self._stacks = stacked([ways for _, ways in tables], [factor.share for factor in self._factors])
        self._backward: list[Table | None] = [None] * len(self._factors)
        # A table per vertex, then one per factor, in the order in which `_weighed` gives them.
        scopes: list[Scope] = [(v,) for v in range(len(self._sizes))]
        self._network = Network(
            self._sizes, [*scopes, *(self._seen(factor.scope) for factor in self._factors)]
        )

    @property
    def is_worth_while(self) -> bool:
        """Whether one minimisation takes seconds rather than minutes; there are no tables where not."""
        return self.states <= _MOST_STATES

    def _tractable(self) -> tuple[float, int]:
        """Return how many numbers one minimisation goes through, and the most entries of a tensor's table.

        Where tables over all that touch a tensor join too many variables, the largest are shared out.
        """
        states = inf
        for most_entries in _MOST_ENTRIES:
            scopes = [scope for flow in self.problem.flows for scope in self._scopes(flow, most_entries)]
            states = states_of(self._sizes, eliminate(self._sizes, [*map(self._seen, scopes)]))
            if states <= _MOST_STATES:
                break
        return states, most_entries

    def add_row(self, row: LinearRow) -> None:
        """Add a row that only vertices spend on: weights, noise of units, activations."""
        self._rows.append(row)
        self._unary.append(self.options.costs(row.multipliers, row.peak, row.byte))

    def max_contribution(self, row: int) -> float:
        """Return the most that a vertex's option, or a tensor, adds to a row."""
        unary = self.options.most_difference(self._unary[row])
        return max((unary, *(stack.most_difference(row) for stack in self._stacks)))

    def exclude_options(self, options: Sequence[NDArray[np.bool_]]) -> None:
        """Leave out options: vertex -> option -> whether it cannot be."""
        # The objective's row: what is infinite there stays so at any multipliers.
        self._unary[0] = np.where(np.concatenate(options), inf, self._unary[0])

    def duplicate(self) -> "LagrangianRelaxation":
        """Return a relaxation of its own: what is added to or left out of it stays in this one as it was."""
        other = copy(self)
        other._rows, other._unary, other._stacks = (  # noqa: SLF001 (its own class)
            list(self._rows),
            list(self._unary),
            list(self._stacks),
        )
        return other

    def exclude_above(self, row: int, most: float) -> None:
        """Leave out each option, and each way of a tensor, that alone spends more than this of a row."""
        # In place: restricted relaxations share the lists.
        self._unary[0] = np.where(self._unary[row] > most, inf, self._unary[0])
        self._stacks[:] = [stack.without_above(row, most) for stack in self._stacks]

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
                ends.append(self.kinds[factor.scope[axis]].devices.reshape(shape))
            total = total | against[ends[0], ends[1]]
        return np.where(total, inf, 0.0) if total.any() else None

    def minimise(self, weights: Sequence[float], added: AddedTables | None = None) -> tuple[float, list[int]]:
        """Return the least weighted sum of the rows, and each vertex's option."""
        unary = self._weighed_options(weights, added)
        least, kinds = self._network.minimise(self._weighed(unary, weights, added))
        return least, self.options.cheapest(unary, kinds)

    def marginals(self, weights: Sequence[float], added: AddedTables | None = None) -> list[Table]:
        """Return vertex -> option -> the least weighted sum with it."""
        unary = self._weighed_options(weights, added)
        marginals = self._network.marginals(self._weighed(unary, weights, added))
        return self.options.of_options(unary, marginals)

    def decode(
        self, weights: Sequence[float], options: Sequence[int], added: AddedTables | None = None
    ) -> tuple[Choice, list[float]]:
        """Return options with the wires that the weights prefer, and what each row is of them."""
        wires = [0] * len(self.problem.flows)
        at = self.options.first + np.array(options, dtype=np.int64)
        sums = np.array([float(row[at].sum()) for row in self._unary])
        kinds = np.array([of.kind[o] for of, o in zip(self.kinds, options, strict=True)], dtype=np.int64)
        for stack in self._stacks:
            places = self._places(stack, kinds, weights)
            costs = stack.entries(places)  # way -> row -> table
            totals = np.tensordot(weights[: costs.shape[1]], costs, (0, 1))
            if added is not None and len(totals) > 1:
                totals += stack.entries_of(added.tensors, places)
            cheapest = totals.argmin(axis=0)
            sums[: costs.shape[1]] += costs[cheapest, :, np.arange(len(cheapest))].sum(axis=0)
            for t in np.flatnonzero(cheapest):
                flow = self._factors[stack.numbers[t]].flow
                wire = cheapest[t] % (1 + len(self.problem.flows[flow].wires))
                wires[flow] = self.problem.flows[flow].wires[wire - 1] if wire else wires[flow]
        return Choice(tuple(options), tuple(wires) if any(wires) else ()), [float(x) for x in sums]

    def routes_mask(self, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which links a form's routes use, and which devices they do not reach.

        Shapes [links, devices, devices] and [devices, devices], the latter two from and to.
        """
        if form.routes not in self._route_masks:
            self._route_masks[form.routes] = _route_masks(self.problem, form)
        return self._route_masks[form.routes]

    def _weighed_options(self, weights: Sequence[float], added: AddedTables | None) -> Table:
        """Return what each option costs, all vertices' options in a row."""
        unary = weighed_sum(self._unary, weights)
        if added is not None:
            unary = unary + np.concatenate(added.vertices)
        for v, excluded in self._excluded.items():
            unary[self.options.slices[v]] += excluded
        return unary

    def _weighed(self, unary: Table, weights: Sequence[float], added: AddedTables | None) -> list[Table]:
        tensors: list[Table] = [np.empty(0)] * len(self._factors)
        for stack in self._stacks:
            tables = stack.weighed(weights, () if added is None else added.tensors)
            for number, table in zip(stack.numbers, tables, strict=True):
                factor, backward = self._factors[number], self._backward[number]
                with_order = table if backward is None else table + backward
                whole = np.broadcast_to(with_order, self._shape(factor))
                unseen = tuple(range(len(self._seen(factor.scope)), whole.ndim))
                tensors[number] = whole.min(axis=unseen) if unseen else whole
        return [*self.options.of_kinds(unary), *tensors]

    def _seen(self, scope: Scope) -> Scope:
        """Return the first vertices of a table's scope, over whose options it is taken into account."""
        return scope

    def _places(
        self, stack: TableStack, kinds: NDArray[np.int64], weights: Sequence[float]
    ) -> list[NDArray[np.int64]]:
        """Return way to cross -> [tables, axes]: the entries that count where vertices have some kinds."""
        scopes = np.array([self._factors[number].scope for number in stack.numbers])
        seen = len(self._seen(tuple(scopes[0])))
        if seen == scopes.shape[1]:
            return [kinds[scopes]] * len(stack.ways)
        return [self._cheapest_places(stack, way, kinds[scopes[:, :seen]], weights) for way in stack.ways]

    def _cheapest_places(
        self,
        stack: TableStack,
        way: Sequence[Table],
        seen: NDArray[np.int64],
        weights: Sequence[float],
    ) -> NDArray[np.int64]:
        """Return the entries that are cheapest over the axes that are not seen."""
        places = []
        for number, fixed, table in zip(stack.numbers, seen, weighed_sum(way, weights), strict=True):
            others = np.broadcast_to(table, self._shape(self._factors[number]))[tuple(fixed)]
            places.append([*fixed, *np.unravel_index(int(others.argmin()), others.shape)])
        return np.array(places, dtype=np.int64)

    def _shape(self, factor: _Factor) -> tuple[int, ...]:
        return tuple(self._sizes[v] for v in factor.scope)

    def _scopes(self, flow: Flow, most_entries: int) -> list[Scope]:
        """Return the vertices of each table of a tensor: all that touch it, or one consumer in each."""
        scope = tuple(dict.fromkeys((flow.producer, *flow.consumers)))
        if len(flow.consumers) == 1 or prod(self._sizes[v] for v in scope) <= most_entries:
            return [scope]
        return [(flow.producer, v) for v in flow.consumers]

    def _flow(self, f: int, flow: Flow) -> list[tuple[_Factor, Ways]]:
        """Return the tables of a tensor: one over all that touch it, or one for each consumer's share."""
        scopes = self._scopes(flow, self._most_entries)
        # The sum of the shares is at most what the tensor costs, so that the result is still a bound.
        share = 1.0 / len(scopes)
        return [
            (
                _Factor(scope, f, self._edges(flow, scope), share),
                self._ways(flow, scope, flow.consumers if len(scopes) == 1 else scope[1:], share),
            )
            for scope in scopes
        ]

    def _edges(self, flow: Flow, scope: Scope) -> tuple[tuple[int, int], ...]:
        """Return the axes of a tensor's producer and of each consumer, where both are units."""
        if self.is_terminal[flow.producer]:
            return ()
        consumers = [v for v in scope if v in flow.consumers and not self.is_terminal[v]]
        return tuple((0, scope.index(v)) for v in consumers)

    def _ways(self, flow: Flow, scope: Scope, consumers: Sequence[int], share: float) -> Ways:
        """Return way to cross -> row -> cost of a tensor; what is forbidden is infinite in the first row.

        Where not all who ask for a format are in the scope, the ways are those for each format that the
        tensor may have in the end: the cheapest counts.
        """
        is_whole = all(v in scope for v in flow.quantizers)
        finals = (_FinalFormat(None),) if is_whole else self._final_formats(flow, scope)
        return tuple(
            tuple(
                share * costs.cost(row.multipliers, wire) + (costs.forbidden(wire) if number == 0 else 0.0)
                for number, row in enumerate(self._rows)
            )
            for costs in (_FlowCosts(self, flow, scope, consumers, final) for final in finals)
            for wire in (None, *flow.wires)
        )

    def _final_formats(self, flow: Flow, scope: Scope) -> tuple["_FinalFormat", ...]:
        """Return the formats that a tensor may have, each with those from which others can lead to it."""
        asked = {int(one) for v in flow.quantizers if v not in scope for one in self.kinds[v].formats}
        leads: nx.DiGraph = nx.DiGraph()
        leads.add_nodes_from(flow.formats)
        for so_far, request in product(flow.formats, asked):
            if self.common_format[so_far, request] != _CLASH:
                leads.add_edge(so_far, int(self.common_format[so_far, request]))
        return tuple(_FinalFormat(one, frozenset({one, *nx.ancestors(leads, one)})) for one in flow.formats)

    def _rules(self) -> list[tuple[_Factor, Ways]]:
        """Return tables that are infinite where neighbours break a rule; other rules are left out."""
        adjacent = {frozenset(pair) for _, scope in self.tensor_scopes for pair in combinations(scope, 2)}
        factors: list[tuple[_Factor, Ways]] = []
        for v, w, breaks_rule in _pairwise_rules(self.problem):
            # A rule between vertices that share no table would join more variables, at a higher tree width.
            if frozenset((v, w)) in adjacent:
                options = product(self.kinds[v].options, self.kinds[w].options)
                table = np.array([inf if breaks_rule(a, b) else 0.0 for a, b in options])
                table = table.reshape(self._sizes[v], self._sizes[w])
                zeros = np.zeros_like(table)
                factors.append((_Factor((v, w)), ((table, *(zeros for _ in self._rows[1:])),)))
        return factors


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
        self,
        relaxation: LagrangianRelaxation,
        flow: Flow,
        scope: Scope,
        consumers: Sequence[int],
        final: _FinalFormat,
    ) -> None:
        self._relaxation, self._flow, self._problem = relaxation, flow, relaxation.problem
        self._consumers, self._model = consumers, relaxation.problem.flow_model(flow)
        self._axes = {v: axis for axis, v in enumerate(scope)}
        self.zeros = np.zeros([1] * len(scope))
        self._device = {v: self._spread(v, relaxation.kinds[v].devices) for v in scope}
        self._requested = {v: self._spread(v, relaxation.kinds[v].formats) for v in scope}
        tensor_format = np.zeros([1] * len(scope), dtype=np.int64)
        for v in flow.quantizers:
            if v in self._axes:
                tensor_format = relaxation.common_format[tensor_format, self._requested[v]]
        self._is_impossible = tensor_format == _CLASH
        if final.format is not None:
            self._is_impossible = ~np.isin(tensor_format, list(final.origins))
            tensor_format = np.full([1] * len(scope), final.format)
        self._tensor_format = tensor_format
        self._units = [v for v in consumers if not relaxation.is_terminal[v]]
        self._starts_at_unit = not relaxation.is_terminal[flow.producer]
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
        impossible = self._is_impossible
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
