"""The multipliers of the limits at which the relaxation's bound is highest, and what it then proves.

Column generation over the limits (Dantzig and Wolfe, "Decomposition principle for linear programs",
Operations Research 8, 1960), its prices smoothed (Wentges, "Weighted Dantzig-Wolfe decomposition for linear
mixed-integer programming", International Transactions in Operational Research 4, 1997).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit
from planner.solver.lagrangian.linear_quantity import (
    Multipliers,
    multipliers_of,
    no_multipliers,
    parts_of_maximum,
)
from planner.solver.lagrangian.relaxation import DeviceOrder, LagrangianRelaxation, LinearRow
from planner.solver.lagrangian.restricted_master import Column, Maximum, Mixture, solve_restricted_master
from planner.solver.lagrangian.variable_elimination import Table

# Share of the best multipliers so far in the next ones: it damps their oscillation (Wentges), more of it
# makes the steps short.
_SMOOTH = 0.5
_CLOSE = 1e-6  # relative distance of bound and mixture at which the multipliers are final
_WORTH = 0.01  # of the distance to what is enough: branching adds more than that, sooner
_KEPT = 1e-6  # relative; what exceeds a limit by less may still keep it
_HEAVY = 0.1  # of a limit; to look for lighter options that break it is not worth a marginal
_STALLED = 12  # rounds without a better bound, every other one of them without smoothing

Prices = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Restriction:
    """A part of all plans.

    Parameters
    ----------
    order
        (device, device whose stage runs after its own), transitive.
    devices
        Vertex -> the devices that it may be on; others may be on any.
    """

    order: DeviceOrder = frozenset()
    devices: Mapping[int, frozenset[int]] = field(default_factory=dict)


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
    """

    def __init__(self, problem: PlacementProblem, clock: Callable[[], float]) -> None:
        self.problem, self.clock = problem, clock
        self.rows = _rows(problem)
        self.maxima: list[Maximum] = []
        for term in problem.objective:
            if parts := parts_of_maximum(problem, term.quantity):
                first = len(self.rows)
                self.maxima.append(Maximum(term.weight, tuple(range(first, first + len(parts)))))
                self.rows += [LinearRow(part) for part in parts]
        self._of_maxima = {row for maximum in self.maxima for row in maximum.rows}
        self._relaxation = LagrangianRelaxation(problem, [LinearRow(_objective(problem)), *self.rows])
        self._memory = [x for x in problem.limits if x.quantity.metric is CostMetric.MEMORY and x.at_most > 0]
        self.best: Choice | None = None
        self.objective = inf
        if self.is_worth_while:
            self._exclude_breaking_options()

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

    def bound(
        self, deadline: float, within: Restriction, start: Bound | None = None, enough: float = inf
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
        """
        excluded = {v: ~np.isin(self._relaxation.devices[v], list(on)) for v, on in within.devices.items()}
        if start is not None:  # what breaks limits without any restriction is excluded for good
            excluded = self._with_breaking_options(within.order, excluded)
        relaxation = self._relaxation.restricted(within.order, excluded)
        search = _PriceSearch(self, relaxation, self._initial_prices() if start is None else start.prices)
        for mixed in start.mixture if start else ():
            is_excluded = any(table[mixed.options[v]] for v, table in excluded.items())
            if not is_excluded and not goes_against(self.problem, mixed.options, within.order):
                search.add(list(mixed.options))
        return search.run(deadline, enough)

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
        return sum(price for row, price in enumerate(prices) if row not in self._of_maxima)

    def within_weights(self, prices: Prices) -> Prices:
        """Return multipliers that are valid: those of a maximum's parts sum to its weight at most."""
        valid = [*prices, *[0.0] * (len(self.rows) - len(prices))]
        for maximum in self.maxima:
            total = sum(valid[row] for row in maximum.rows)
            if total > maximum.weight:
                for row in maximum.rows:
                    valid[row] *= maximum.weight / total
        return tuple(valid)

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
        """Return nothing for limits, and the weight of a maximum shared evenly by devices."""
        prices = [0.0] * len(self.rows)
        for maximum in self.maxima:
            loads = [row for row in maximum.rows if any(self.rows[row].multipliers.busy)]
            for row in loads:
                prices[row] = maximum.weight / len(loads)
        return tuple(prices)

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

    def __init__(self, dual: LagrangianDual, relaxation: LagrangianRelaxation, prices: Prices) -> None:
        self._dual, self._relaxation = dual, relaxation
        self._value, self._prices = -inf, prices
        self._choices: list[tuple[Prices, list[int]]] = []
        self._columns: list[Column] = []

    def run(self, deadline: float, enough: float) -> Bound:
        """Try multipliers until the bound rises no more, or is high enough."""
        trial, stalled, rounds = self._dual.within_weights(self._prices), 0, 0
        while True:
            rounds += 1
            least, options = self._relaxation.minimise([1.0, *trial])
            if least == inf:
                return Bound(inf, (), trial, (), rounds)
            value = least - self._dual.constant(trial)
            # Steps that gain next to nothing count as none, or the search would creep.
            stalled = 0 if value > self._value + _CLOSE * abs(self._value) else stalled + 1
            if value > self._value:
                self._value, self._prices = value, trial
            self.add(options, trial)
            mixture = solve_restricted_master(self._columns, self._dual.maxima)
            left = mixture.cost - self._value  # what better multipliers could add
            worth = max(_CLOSE * abs(mixture.cost), _WORTH * (enough - self._value) if enough < inf else 0.0)
            final = left <= worth or stalled == _STALLED
            if final or self._value > enough or self._dual.clock() > deadline:
                return self._proved(mixture, rounds)
            smoothing = 0.0 if stalled % 2 else _SMOOTH  # smoothed prices that led nowhere are left
            # A row that was added on the way had no multiplier yet.
            self._prices = self._dual.within_weights(self._prices)
            trial = self._dual.within_weights(
                tuple(
                    smoothing * a + (1 - smoothing) * b
                    for a, b in zip(self._prices, mixture.multipliers, strict=True)
                )
            )

    def add(self, options: list[int], prices: Prices | None = None) -> None:
        """Add a choice as a column, and rows for what it breaks."""
        self._choices.append((self._prices if prices is None else prices, options))
        choice, column = self._decoded(*self._choices[-1])
        self._columns.append(column)
        self._dual.add_peaks(self._dual.meet(choice), options)
        # The columns met before have to say what they use of new rows.
        if len(self._columns[0].usage) < len(self._dual.rows):
            self._columns = [self._decoded(*met)[1] for met in self._choices]

    def _decoded(self, prices: Prices, options: list[int]) -> tuple[Choice, Column]:
        choice, (cost, *usage) = self._relaxation.decode([1.0, *prices], options)
        return choice, Column(cost, tuple(usage))

    def _proved(self, mixture: Mixture, rounds: int) -> Bound:
        marginals = self._relaxation.marginals([1.0, *self._prices])
        constant = self._dual.constant(self._prices)
        mixed = tuple(
            MixedPlan(share, tuple(options))
            for share, (_, options) in zip(mixture.shares, self._choices, strict=True)
            if share > 0
        )
        return Bound(self._value, tuple(t - constant for t in marginals), self._prices, mixed, rounds)


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
