"""The problem without what couples everything: limits and order. What is left is a sum of small tables.

For any multipliers of the limited quantities its least sum is a bound (Lagrangian relaxation: Geoffrion,
"Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import combinations, product
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import Flow
from planner.problem.units import Option
from planner.solver.device_order import DeviceOrder
from planner.solver.lagrangian.elimination_order import Scope, eliminate
from planner.solver.lagrangian.flow_costs import FlowTables
from planner.solver.lagrangian.linear_quantity import Multipliers
from planner.solver.lagrangian.option_table import OptionTable
from planner.solver.lagrangian.table_stack import TableStack, Ways, stacked, weighed_sum
from planner.solver.lagrangian.tree_decomposition import Network, Table, states_of

# Of one tensor's table over all that touch it. With more consumers each pays its share in a table of its own,
# which is still a bound, but a weaker one. Less where all tables together would be too large.
_MOST_ENTRIES = (60_000, 6_000, 0)
_MOST_STATES = 3e7  # numbers per minimisation, so that a round takes seconds; beyond, no bound is tried


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
        self.options = OptionTable(problem)
        self.devices, self.kinds = self.options.devices, self.options.kinds
        self.flow_tables = FlowTables(problem, self.kinds)
        self._sizes = [len(kinds.devices) for kinds in self.kinds]
        self._rows = list(rows)
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
        rows = [row.multipliers for row in self._rows]
        return [
            (
                _Factor(scope, f, self._edges(flow, scope), share),
                self.flow_tables.ways(
                    flow, scope, flow.consumers if len(scopes) == 1 else scope[1:], rows, share
                ),
            )
            for scope in scopes
        ]

    def _edges(self, flow: Flow, scope: Scope) -> tuple[tuple[int, int], ...]:
        """Return the axes of a tensor's producer and of each consumer, where both are units."""
        vertices = self.problem.vertices
        if vertices[flow.producer].is_terminal:
            return ()
        consumers = [v for v in scope if v in flow.consumers and not vertices[v].is_terminal]
        return tuple((0, scope.index(v)) for v in consumers)

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
