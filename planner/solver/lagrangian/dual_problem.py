"""The dual problem: rows with a multiplier each, for limits and maxima, and the plans that are left to it."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
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
from planner.solver.lagrangian.path_lengths import BEGIN, PathLengths
from planner.solver.lagrangian.path_master import Span
from planner.solver.lagrangian.relaxation import LagrangianRelaxation, LinearRow
from planner.solver.lagrangian.restricted_master import Maximum

_KEPT = 1e-6  # relative; what exceeds a limit by less may still keep it
_HEAVY = 0.1  # of a limit; to look for lighter options that break it is not worth a marginal
_ROUNDING = 1e-12  # relative: a table's sum of a few costs


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


class LagrangianDual:
    """The relaxation of a problem for multipliers of its rows, and the best plan that was met on the way.

    Parameters
    ----------
    clock
        Returns seconds.
    prepared_until
        Time after which no further options are looked for that break a limit by themselves.
    relaxation
        Which one: what has too many states as a whole may be bounded with separate units.
    """

    def __init__(
        self,
        problem: PlacementProblem,
        clock: Callable[[], float],
        relaxation: type[LagrangianRelaxation] = LagrangianRelaxation,
        prepared_until: float = inf,
    ) -> None:
        self.problem, self.clock = problem, clock
        self.rows = _rows(problem)
        self.limits_count = len(self.rows)
        self.maxima: list[Maximum] = []
        for term in problem.objective:
            if term.quantity.metric is not CostMetric.MAKESPAN:
                self._add_maximum(term.quantity, term.weight)
        self.spans = [
            Span(self._add_maximum(Quantity(CostMetric.MAKESPAN, model=model), weight), model)
            for model, weight in _span_weights(problem).items()
        ]
        self._of_maxima = {row for maximum in self.maxima for row in maximum.rows}
        self.relaxation = relaxation(problem, [LinearRow(_objective(problem)), *self.rows])
        self.paths = PathLengths(self.relaxation) if self.spans and self.is_worth_while else None
        self._memory = [x for x in problem.limits if x.quantity.metric is CostMetric.MEMORY and x.at_most > 0]
        self.best: Choice | None = None
        self.objective = inf
        self.round_s = 0.0  # the most seconds that a round of multipliers took so far
        if self.is_worth_while:
            self._exclude_breaking_options(prepared_until)

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
        return self.relaxation.is_worth_while

    def exclude_options(self, kept: Sequence[Sequence[int]]) -> None:
        """Leave out, from here on, all but some options of each vertex, by their numbers."""
        sizes = [len(vertex.options) for vertex in self.problem.vertices]
        self.relaxation.exclude_options(
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
                    self.relaxation.exclude_above(1 + row, objective / maximum.weight * (1 + _ROUNDING))

    def below(self, objective: float) -> "LagrangianDual":
        """Return the relaxation of the plans below a value alone, as `exclude_from` has it."""
        below = copy(self)
        below.rows, below.relaxation = list(self.rows), self.relaxation.duplicate()
        below.exclude_from(objective)
        return below

    def excluded(self, within: Restriction) -> dict[int, NDArray[np.bool_]]:
        """Return vertex -> option -> whether a restriction of units to devices leaves it out."""
        return {v: ~np.isin(self.relaxation.devices[v], list(on)) for v, on in within.devices.items()}

    def with_breaking_options(
        self, order: DeviceOrder, excluded: dict[int, NDArray[np.bool_]]
    ) -> dict[int, NDArray[np.bool_]]:
        """Return excluded options, and those that then break a memory limit whatever the others are."""
        excluded = dict(excluded)
        for row, limit in enumerate(self.rows):
            if row in self._of_maxima or not any(limit.multipliers.weight):
                continue
            # With this row alone weighed, a marginal is the least that a plan with the option uses.
            weights = [0.0, *(float(other == row) for other in range(len(self.rows)))]
            least = self.relaxation.restricted(order, excluded).marginals(weights)
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
        self.relaxation.add_row(self.rows[-1])

    def initial_prices(self) -> Prices:
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

    def _exclude_breaking_options(self, deadline: float) -> None:
        """Leave out the options that break a limit whatever the others are, where some weigh that much."""
        for row in range(len(self.rows)):
            if self.clock() > deadline:
                return
            # With this row alone weighed, a marginal is the least that a plan with the option uses.
            if row not in self._of_maxima and self.relaxation.max_contribution(1 + row) > _HEAVY:
                weights = [0.0, *(float(other == row) for other in range(len(self.rows)))]
                least = self.relaxation.marginals(weights)
                self.relaxation.exclude_options([table > 1 + _KEPT for table in least])


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
