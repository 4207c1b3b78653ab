"""Prices of what a plan spends, from the weights of the quantities that count."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.problem.cost_evaluation import Cost
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import WireForm
from planner.solver.lagrangian.linear_quantity import (
    Multipliers,
    multipliers_of,
    no_multipliers,
    parts_of_maximum,
)

Array = NDArray[np.float64]


class LoadShares:
    """How much each load counts in the period: the greatest loads gain, as the period is the greatest."""

    def __init__(self, problem: PlacementProblem) -> None:
        self._zero = no_multipliers(problem)
        self._parts = parts_of_maximum(problem, Quantity(CostMetric.PERIOD))
        self._shares: Array = np.full(len(self._parts), 1.0 / max(len(self._parts), 1))

    def learn(self, cost: Cost) -> None:
        """Let the loads that are greatest in a plan count more."""
        loads = np.array([np.dot(x.busy, cost.busy_s) + np.dot(x.link, cost.link_s) for x in self._parts])
        top = loads.max(initial=0.0)
        if top > 0:
            grown = self._shares * np.exp(0.5 * loads / top)
            self._shares = np.maximum(grown / grown.sum(), 1e-4)

    def multipliers(self) -> Multipliers:
        """Return the multipliers of the mean load."""
        total = self._zero
        for part, share in zip(self._parts, self._shares, strict=True):
            total = total.plus(part.times(float(share)))
        return total


class Prices:
    """Prices per device of seconds, bytes held and joules, per link of seconds and bytes, and of noise."""

    def __init__(
        self, problem: PlacementProblem, weights: Sequence[tuple[Quantity, float]], loads: LoadShares
    ) -> None:
        total = no_multipliers(problem)
        for quantity, weight in weights:
            total = total.plus(_multipliers(problem, quantity, loads).times(weight))
        self.busy, self.weight, self.joules = map(np.array, (total.busy, total.weight, total.joule))
        self.link, self.traffic = map(np.array, (total.link, total.byte))
        self.noise = max(total.noise, default=0.0)
        homes = [[problem.physical_device(d) for d in (x.source, x.target)] for x in problem.links]
        ends = np.array(homes, np.int64).reshape(len(problem.links), 2)
        self.joules_source, self.joules_target = self.joules[ends[:, 0]], self.joules[ends[:, 1]]

    def crossing(self, form: WireForm, source: int, target: int) -> float:
        """Return the price of sending a form, infinite if no links lead there."""
        route = form.routes[source][target]
        if route is None:
            return float("inf")
        total = 0.0
        for x in route:
            total += self.link[x] * form.link_s[x] + self.traffic[x] * form.size_bytes
            if form.link_j:
                total += self.joules_source[x] * form.link_j[x][0] + self.joules_target[x] * form.link_j[x][1]
        return total


def _multipliers(problem: PlacementProblem, quantity: Quantity, loads: LoadShares) -> Multipliers:
    """Return the multipliers of a quantity; of a maximum those of a sum that falls with it."""
    if quantity.metric is CostMetric.PERIOD:
        return loads.multipliers()
    if quantity.metric is CostMetric.MAKESPAN:
        quantity = replace(quantity, metric=CostMetric.LATENCY)
    return multipliers_of(problem, quantity) or no_multipliers(problem)
