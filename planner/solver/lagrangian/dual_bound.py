"""The multipliers of the limits at which the relaxation's bound is highest, and what it then proves.

Column generation over the limits (Dantzig and Wolfe, "Decomposition principle for linear programs",
Operations Research 8, 1960), its prices smoothed (Wentges, "Weighted Dantzig-Wolfe decomposition for linear
mixed-integer programming", International Transactions in Operational Research 4, 1997).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.solver.device_order import DeviceOrder
from planner.solver.lagrangian.linear_quantity import (
    Multipliers,
    multipliers_of,
    no_multipliers,
    parts_of_maximum,
)
from planner.solver.lagrangian.path_lengths import BEGIN, CountedLengths, PathGraph, PathLengths
from planner.solver.lagrangian.path_master import PathMaster, Span
from planner.solver.lagrangian.relaxation import (
    AddedTables,
    LagrangianRelaxation,
    LinearRow,
)
from planner.solver.lagrangian.restricted_master import Column, Maximum, Mixture, solve_restricted_master
from planner.solver.lagrangian.tree_decomposition import Table

# Share of the best multipliers so far in the next ones: it damps their oscillation (Wentges), more of it
# makes the steps short.
_SMOOTH = 0.5
_CLOSE = 1e-6  # relative distance of bound and mixture at which the multipliers are final
_WORTH = 0.01  # of the distance to what is enough: branching adds more than that, sooner
_KEPT = 1e-6  # relative; what exceeds a limit by less may still keep it
_HEAVY = 0.1  # of a limit; to look for lighter options that break it is not worth a marginal
_BETTER = 0.98  # times the cost of a mixture that is not much better
_TAIL = 6  # rounds that gain next to nothing, after which paths are rather branched on
_TAIL_GAIN = 0.1  # of the distance to what is enough
_ROUNDING = 1e-12  # relative: a table's sum of a few costs
_STALLED = 12  # rounds without a better bound, every other one of them without smoothing


@dataclass(frozen=True, slots=True)
class Prices:
    """Multipliers of the rows, and a flow over the segments of paths; empty if no makespan is minimised."""

    rows: tuple[float, ...]
    paths: tuple[float, ...] = ()

    def towards(self, other: "Prices", share: float) -> "Prices":
        """Return what lies between these and others."""

        def mixed(own: tuple[float, ...], theirs: tuple[float, ...]) -> tuple[float, ...]:
            return tuple((1 - share) * a + share * b for a, b in zip(own, theirs, strict=True))

        return Prices(mixed(self.rows, other.rows), mixed(self.paths, other.paths))


@dataclass(frozen=True, slots=True)
class Restriction:
    """A part of all plans.

    Parameters
    ----------
    order
        (device, device whose stage runs after its own), transitive.
    devices
        Vertex -> the devices that it may be on; others may be on any.
    serial
        Devices that run a unit which is on every path of their model: a makespan has all their work.
    confined
        Devices that run no such unit.
    """

    order: DeviceOrder = frozenset()
    devices: Mapping[int, frozenset[int]] = field(default_factory=dict)
    serial: frozenset[int] = frozenset()
    confined: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class MixedPlan:
    """A choice that the relaxation met, and its part of the mixture that gives the bound."""

    share: float
    options: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """What the relaxation proves.

    Parameters
    ----------
    value
        No plan within the limits has a lower objective; infinite if there is none.
    option_bounds
        Vertex -> option -> the same for plans with that option; each array has shape [options]. Empty if
        there is no plan.
    prices
        The multipliers that give it.
    mixture
        The choices of the best mixture: what is in none of them does not hold the bound down.
    rounds
        Multipliers tried.
    """

    value: float
    option_bounds: tuple[Table, ...]
    prices: Prices
    mixture: tuple[MixedPlan, ...]
    rounds: int


class LagrangianDual:
    """The relaxation of a problem, and the best plan that was met on the way.

    Parameters
    ----------
    clock
        Returns seconds.
    relaxation
        Which one: what has too many states as a whole may be bounded with separate units.
    """

    def __init__(
        self,
        problem: PlacementProblem,
        clock: Callable[[], float],
        relaxation: type[LagrangianRelaxation] = LagrangianRelaxation,
    ) -> None:
        self.problem, self.clock = problem, clock
        self.rows = _rows(problem)
        self.maxima: list[Maximum] = []
        for term in problem.objective:
            if term.quantity.metric is not CostMetric.MAKESPAN:
                self._add_maximum(term.quantity, term.weight)
        self.spans = [
            Span(self._add_maximum(Quantity(CostMetric.MAKESPAN, model=model), weight), model)
            for model, weight in _span_weights(problem).items()
        ]
        self._of_maxima = {row for maximum in self.maxima for row in maximum.rows}
        self._relaxation = relaxation(problem, [LinearRow(_objective(problem)), *self.rows])
        self.paths = PathLengths(self._relaxation) if self.spans and self.is_worth_while else None
        self._memory = [x for x in problem.limits if x.quantity.metric is CostMetric.MEMORY and x.at_most > 0]
        self.best: Choice | None = None
        self.objective = inf
        if self.is_worth_while:
            self._exclude_breaking_options()

    def _add_maximum(self, quantity: Quantity, weight: float) -> Maximum:
        first, parts = len(self.rows), parts_of_maximum(self.problem, quantity)
        self.rows += [LinearRow(part) for part in parts]
        maximum = Maximum(weight, tuple(range(first, first + len(parts))))
        if parts:
            self.maxima.append(maximum)
        return maximum

    @property
    def is_worth_while(self) -> bool:
        """Whether one round takes seconds rather than minutes."""
        return self._relaxation.is_worth_while

    def exclude_options(self, kept: Sequence[Sequence[int]]) -> None:
        """Leave out, from here on, all but some options of each vertex, by their numbers."""
        sizes = [len(vertex.options) for vertex in self.problem.vertices]
        self._relaxation.exclude_options(
            [~np.isin(np.arange(size), row) for size, row in zip(sizes, kept, strict=True)]
        )

    def exclude_from(self, objective: float) -> None:
        """Leave out, from here on, what alone brings a maximum so far that the objective reaches a value.

        What remains bounds only the plans of a lower objective. Each of them has every unit and every tensor
        within that value, which a mixture of plans need not have: so a period's bound rises most by this.
        """
        for maximum in self.maxima:
            if maximum.weight > 0 and objective < inf:
                for row in maximum.rows:
                    self._relaxation.exclude_above(1 + row, objective / maximum.weight * (1 + _ROUNDING))

    def below(self, objective: float) -> "LagrangianDual":
        """Return the relaxation of the plans below a value alone, as `exclude_from` has it."""
        below = copy(self)
        below.rows, below._relaxation = list(self.rows), self._relaxation.duplicate()  # noqa: SLF001 (its own class)
        below.exclude_from(objective)
        return below

    def bound(
        self,
        deadline: float,
        within: Restriction,
        start: Bound | None = None,
        enough: float = inf,
        patience: int = _STALLED,
    ) -> Bound:
        """Return the highest bound found on the plans within a restriction.

        Parameters
        ----------
        deadline
            Time after which no further multipliers are tried.
        start
            A bound of plans among which these are.
        enough
            A value at which the bound is high enough.
        patience
            Rounds without a better bound after which the search ends.
        """
        excluded = self._excluded(within)
        # What breaks limits without any restriction is excluded for good.
        if start is not None and self.paths is None:
            excluded = self._with_breaking_options(within.order, excluded)
        relaxation = self._relaxation.restricted(within.order, excluded)
        prices = self._initial_prices() if start is None else start.prices
        search = _PriceSearch(self, relaxation, prices, within.serial)
        for mixed in start.mixture if start else ():
            is_excluded = any(table[mixed.options[v]] for v, table in excluded.items())
            if not is_excluded and not goes_against(self.problem, mixed.options, within.order):
                search.add_known(list(mixed.options))
        return search.run(deadline, enough, patience)

    def _excluded(self, within: Restriction) -> dict[int, NDArray[np.bool_]]:
        return {v: ~np.isin(self._relaxation.devices[v], list(on)) for v, on in within.devices.items()}

    def probe(self, within: Restriction, prices: Prices) -> float:
        """Return the bound that some multipliers give for the plans within a restriction."""
        relaxation = self._relaxation.restricted(within.order, self._excluded(within))
        valid = self.within_weights(prices)
        lengths = None if self.paths is None else self.paths.without(within.serial).weighed(valid.paths)
        least, _ = relaxation.minimise(self.weights(valid, within.serial), lengths)
        return least - self.constant(valid)

    def start_from(self, other: Bound | None) -> Bound | None:
        """Return prices and choices to start from, of the same problem with another objective and no maxima.

        A bound's value is not kept, only what it was found with.
        """
        limits = len(_rows(self.problem))
        if other is None or self.paths is None or len(other.prices.rows) < limits:
            return None
        own = self._initial_prices()
        prices = replace(own, rows=(*other.prices.rows[:limits], *own.rows[limits:]))
        return Bound(-inf, (), prices, other.mixture, 0)

    def _with_breaking_options(
        self, order: DeviceOrder, excluded: dict[int, NDArray[np.bool_]]
    ) -> dict[int, NDArray[np.bool_]]:
        """Return excluded options, and those that then break a memory limit whatever the others are."""
        excluded = dict(excluded)
        for row, limit in enumerate(self.rows):
            if row in self._of_maxima or not any(limit.multipliers.weight):
                continue
            # With this row alone weighed, a marginal is the least that a plan with the option uses.
            weights = [0.0, *(float(other == row) for other in range(len(self.rows)))]
            least = self._relaxation.restricted(order, excluded).marginals(weights)
            for v, table in enumerate(least):
                breaking = table > 1 + _KEPT
                if breaking.any():
                    excluded[v] = excluded.get(v, False) | breaking
        return excluded

    def constant(self, prices: Prices) -> float:
        """Return what the limits take off a weighted sum: each is a sum that is at most 1."""
        return sum(price for row, price in enumerate(prices.rows) if row not in self._of_maxima)

    def within_weights(self, prices: Prices) -> Prices:
        """Return multipliers that are valid: those of a maximum's parts sum to its weight at most."""
        valid = [*prices.rows, *[0.0] * (len(self.rows) - len(prices.rows))]
        flows = dict.fromkeys(self.problem.models, 0.0)
        begun = self._begun(prices.paths)
        model_of = {span.maximum: span.model for span in self.spans}
        for maximum in self.maxima:
            model = model_of.get(maximum)
            total = sum(valid[row] for row in maximum.rows) + begun.get(model, 0.0)
            share = maximum.weight / total if total > maximum.weight else 1.0
            for row in maximum.rows:
                valid[row] *= share
            if model is not None:
                flows[model] = share * begun.get(model, 0.0)
        if self.paths is None:
            return Prices(tuple(valid))
        # What leaves a node is what comes into it, to the last digit.
        flow = self.paths.graph.flow(prices.paths, list(flows.values()))
        return Prices(tuple(valid), tuple(map(float, flow)))

    def _begun(self, paths: Sequence[float]) -> dict[int | None, float]:
        """Return model -> how much of a flow begins."""
        begun: dict[int | None, float] = {}
        for segment, share in zip(self.paths.graph.segments, paths, strict=True) if self.paths else ():
            if segment.tail == BEGIN:
                begun[segment.model] = begun.get(segment.model, 0.0) + share
        return begun

    def serial_rows(self, span: Span, serial: frozenset[int]) -> tuple[int, ...]:
        """Return the rows of the work of a span's devices that every path waits for."""
        return tuple(
            row
            for row in span.maximum.rows
            if any(self.rows[row].multipliers.busy[device] for device in serial)
        )

    def weights(self, prices: Prices, serial: frozenset[int]) -> list[float]:
        """Return the weights of the relaxation's rows, the objective's first."""
        weights, begun = [1.0, *prices.rows], self._begun(prices.paths)
        for span in self.spans:
            for row in self.serial_rows(span, serial):
                weights[1 + row] += begun.get(span.model, 0.0)
        return weights

    def meet(self, choice: Choice) -> Cost:
        """Return a choice's cost, and remember it if it is the best plan so far."""
        cost = evaluate(self.problem, choice)
        if is_feasible(self.problem, cost) and cost.objective < self.objective:
            self.best, self.objective = choice, cost.objective
        return cost

    def add_peaks(self, cost: Cost, options: Sequence[int]) -> None:
        """Add a row for each memory limit that a choice's largest unit breaks.

        A memory's peak is a maximum over units. As a row of the relaxation it counts one unit's activations;
        rows for those that turn out to be the largest are added as they are met.
        """
        for limit in self._memory:
            if cost.value(limit.quantity) > limit.at_most:
                self._add_peak(limit, options)

    def _add_peak(self, limit: Limit, options: Sequence[int]) -> None:
        peak = _largest_activation(self.problem, limit, options)
        is_there = any(row.peak == peak for row in self.rows)
        multipliers = multipliers_of(self.problem, limit.quantity)
        if peak is None or is_there or multipliers is None:
            return
        self.rows.append(LinearRow(multipliers.times(1 / limit.at_most), peak, 1 / limit.at_most))
        self._relaxation.add_row(self.rows[-1])

    def _initial_prices(self) -> Prices:
        """Return nothing for limits; the weight of a maximum shared evenly by devices, or by paths."""
        prices = [0.0] * len(self.rows)
        amounts = dict.fromkeys(self.problem.models, 0.0)
        model_of = {span.maximum: span.model for span in self.spans}
        for maximum in self.maxima:
            if maximum in model_of:
                amounts[model_of[maximum]] = maximum.weight
                continue
            loads = [row for row in maximum.rows if any(self.rows[row].multipliers.busy)]
            for row in loads:
                prices[row] = maximum.weight / len(loads)
        if self.paths is None:
            return Prices(tuple(prices))
        graph = self.paths.graph
        edges = [float(segment.device is None) for segment in graph.segments]
        flow = graph.flow(edges, list(amounts.values()))
        return Prices(tuple(prices), tuple(map(float, flow)))

    def _exclude_breaking_options(self) -> None:
        """Leave out the options that break a limit whatever the others are, where some weigh that much."""
        for row in range(len(self.rows)):
            # With this row alone weighed, a marginal is the least that a plan with the option uses.
            if row not in self._of_maxima and self._relaxation.max_contribution(1 + row) > _HEAVY:
                weights = [0.0, *(float(other == row) for other in range(len(self.rows)))]
                least = self._relaxation.marginals(weights)
                self._relaxation.exclude_options([table > 1 + _KEPT for table in least])


class _PriceSearch:
    """The search for the multipliers of one order of devices."""

    def __init__(
        self,
        dual: LagrangianDual,
        relaxation: LagrangianRelaxation,
        prices: Prices,
        serial: frozenset[int],
    ) -> None:
        self._dual, self._relaxation, self._serial = dual, relaxation, serial
        self._value, self._prices = -inf, prices
        self._values: list[float] = []
        self._has_wires = any(flow.wires for flow in dual.problem.flows)
        self._choices: list[tuple[Prices, list[int]]] = []
        self._columns: list[Column] = []
        self._lengths: CountedLengths | None = None if dual.paths is None else dual.paths.without(serial)
        self._master: PathMaster | None = None

    def run(self, deadline: float, enough: float, patience: int) -> Bound:
        """Try multipliers until the bound rises no more, or is high enough."""
        trial, stalled, rounds = self._dual.within_weights(self._prices), 0, 0
        cost = inf
        while True:
            rounds += 1
            least, options = self._relaxation.minimise(self._weights(trial), self._added(trial))
            if least == inf:
                return Bound(inf, (), trial, (), rounds)
            value = least - self._dual.constant(trial)
            # Steps that gain next to nothing count as none, or the search would creep.
            rose = value > self._value + _CLOSE * abs(self._value)
            if value > self._value:
                self._value, self._prices = value, trial
            self.add(options, trial)
            mixture, prices = self._mixture()
            # So long as mixtures get much better, multipliers are still far from final.
            stalled = 0 if rose or mixture.cost < _BETTER * cost else stalled + 1
            cost = mixture.cost
            left = mixture.cost - self._value  # what better multipliers could add
            worth = max(_CLOSE * abs(mixture.cost), _WORTH * (enough - self._value) if enough < inf else 0.0)
            final = left <= worth or stalled == patience or self._creeps(min(enough, mixture.cost))
            if final or self._value > enough or self._dual.clock() > deadline:
                return self._proved(mixture, rounds)
            smoothing = 0.0 if stalled % 2 else _SMOOTH  # smoothed prices that led nowhere are left
            # A row that was added on the way had no multiplier yet.
            self._prices = self._dual.within_weights(self._prices)
            trial = self._dual.within_weights(self._prices.towards(prices, 1 - smoothing))

    def _creeps(self, target: float) -> bool:
        """Return whether the last rounds gained so little that a branch is worth more."""
        self._values.append(self._value)
        if self._lengths is None or len(self._values) <= _TAIL:
            return False
        gained = self._value - self._values[-1 - _TAIL]
        return gained < _TAIL_GAIN * (target - self._value)

    def add_known(self, options: list[int]) -> None:
        """Add a choice of other multipliers, unless parts of it were excluded since."""
        if self._decoded(self._prices, options)[1].cost < inf:
            self.add(options)

    def add(self, options: list[int], prices: Prices | None = None) -> None:
        """Add a choice as a column, and rows for what it breaks."""
        self._choices.append((self._prices if prices is None else prices, options))
        choice, column = self._decoded(*self._choices[-1])
        self._columns.append(column)
        self._dual.add_peaks(self._dual.meet(choice), options)
        # The columns met before have to say what they use of new rows.
        if len(self._columns[0].usage) < len(self._dual.rows):
            self._columns = [self._decoded(*met)[1] for met in self._choices]

    def _weights(self, prices: Prices) -> list[float]:
        return self._dual.weights(prices, self._serial)

    def _added(self, prices: Prices) -> AddedTables | None:
        return None if self._lengths is None else self._lengths.weighed(prices.paths)

    def _mixture(self) -> tuple[Mixture, Prices]:
        """Return the best mixture of the plans met, and what it says of the multipliers."""
        if self._lengths is None:
            mixture = solve_restricted_master(self._columns, self._dual.maxima)
            return mixture, Prices(mixture.multipliers)
        if self._master is None or self._master.rows < len(self._dual.rows):
            self._master = self._new_master(self._lengths.graph)
        for column in self._columns[self._master.columns :]:
            self._master.add(column)
        mixture, paths = self._master.solve()
        return mixture, self._dual.within_weights(Prices(mixture.multipliers, paths))

    def _new_master(self, graph: PathGraph) -> PathMaster:
        dual = self._dual
        spans = [replace(span, serial=dual.serial_rows(span, self._serial)) for span in dual.spans]
        others = [maximum for maximum in dual.maxima if all(maximum != span.maximum for span in spans)]
        return PathMaster(graph, spans, others, len(dual.rows), self._columns)

    def _decoded(self, prices: Prices, options: list[int]) -> tuple[Choice, Column]:
        added = self._added(prices) if self._has_wires else None  # they only decide on wires
        choice, (cost, *usage) = self._relaxation.decode(self._weights(prices), options, added)
        lengths = () if self._lengths is None else self._lengths.of(choice)
        return choice, Column(cost, tuple(usage), lengths)

    def _proved(self, mixture: Mixture, rounds: int) -> Bound:
        prices = self._prices
        marginals = self._relaxation.marginals(self._weights(prices), self._added(prices))
        constant = self._dual.constant(prices)
        mixed = tuple(
            MixedPlan(share, tuple(options))
            for share, (_, options) in zip(mixture.shares, self._choices, strict=True)
            if share > 0
        )
        return Bound(self._value, tuple(t - constant for t in marginals), prices, mixed, rounds)


def goes_against(problem: PlacementProblem, options: Sequence[int], order: DeviceOrder) -> bool:
    """Return whether a tensor of a unit goes against an order of devices."""
    return any((end, start) in order for start, end in moves(problem, options))


def moves(problem: PlacementProblem, options: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (device, device) for each edge between units."""
    vertices = problem.vertices
    for flow in problem.flows:
        if not vertices[flow.producer].is_terminal:
            start = vertices[flow.producer].options[options[flow.producer]].device
            for v in flow.consumers:
                if not vertices[v].is_terminal:
                    yield start, vertices[v].options[options[v]].device


def _objective(problem: PlacementProblem) -> Multipliers:
    """Return the multipliers of the objective's sums; memory counts its weights, a maximum nothing."""
    total = no_multipliers(problem)
    for term in problem.objective:
        multipliers = multipliers_of(problem, term.quantity)
        if multipliers is not None:
            total = total.plus(multipliers.times(term.weight))
    return total


def _span_weights(problem: PlacementProblem) -> dict[int, float]:
    """Return model -> what a second of its makespan counts; none that count nothing."""
    weights: dict[int, float] = {}
    for term in problem.objective:
        if term.quantity.metric is CostMetric.MAKESPAN and term.weight > 0:
            models = problem.models if term.quantity.model is None else [term.quantity.model]
            for model in models:
                weights[model] = weights.get(model, 0.0) + term.weight
    return weights


def _rows(problem: PlacementProblem) -> list[LinearRow]:
    """Return the limits as sums that are at most 1; limits of 0 are left out."""
    rows = []
    for limit in problem.limits:
        if limit.at_most <= 0:
            continue
        multipliers = multipliers_of(problem, limit.quantity)
        parts = parts_of_maximum(problem, limit.quantity) if multipliers is None else (multipliers,)
        peak = _largest_activation(problem, limit) if limit.quantity.metric is CostMetric.MEMORY else None
        rows += [LinearRow(part.times(1 / limit.at_most), peak, 1 / limit.at_most) for part in parts]
    return rows


def _largest_activation(
    problem: PlacementProblem, limit: Limit, options: Sequence[int] | None = None
) -> tuple[int, int] | None:
    """Return the vertex that may have (with some options: has) the largest tensors on a device."""
    device = limit.quantity.of
    if device is None:
        return None
    activations = {
        v: option.activation_bytes
        for v, vertex in enumerate(problem.vertices)
        for o, option in enumerate(vertex.options)
        if problem.physical_device(option.device) == device and (options is None or options[v] == o)
    }
    return (max(activations, key=activations.__getitem__), device) if activations else None
