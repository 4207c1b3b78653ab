"""Prices of what a plan spends, from the weights of the quantities that count."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.problem.cost_evaluation import Cost
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import WireForm

Array = NDArray[np.float64]


class LoadShares:
    """How much each load counts in the period: the greatest loads gain, as the period is the greatest."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        count = len(problem.devices) + len(problem.links)
        self.shares: Array = np.full(count, 1.0 / max(count, 1))

    def learn(self, cost: Cost) -> None:
        """Let the loads that are greatest in a plan count more."""
        loads = np.array([*_device_loads(self.problem, cost), *cost.link_s])
        top = loads.max(initial=0.0)
        if top > 0:
            grown = self.shares * np.exp(0.5 * loads / top)
            self.shares = np.maximum(grown / grown.sum(), 1e-4)


def _device_loads(problem: PlacementProblem, cost: Cost) -> list[float]:
    loads = [0.0] * len(problem.devices)
    for d, seconds in enumerate(cost.busy_s):
        loads[problem.physical_device(d)] += seconds
    for link, seconds in zip(problem.links, cost.link_s, strict=True):
        for d in (link.source, link.target):
            if problem.devices[d].transfers_block:
                loads[problem.physical_device(d)] += seconds
    return loads


class Prices:
    """Prices per device of seconds, bytes held and joules, per link of seconds and bytes, and of noise."""

    def __init__(
        self, problem: PlacementProblem, weights: Sequence[tuple[Quantity, float]], loads: LoadShares
    ) -> None:
        self.problem, self.loads = problem, loads
        devices, links = len(problem.devices), len(problem.links)
        self.busy, self.weight, self.joules = np.zeros(devices), np.zeros(devices), np.zeros(devices)
        self.link, self.traffic, self.noise = np.zeros(links), np.zeros(links), 0.0
        for quantity, weight in weights:
            self._add(quantity, weight)
        homes = [[problem.physical_device(d) for d in (x.source, x.target)] for x in problem.links]
        ends = np.array(homes, np.int64).reshape(links, 2)
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

    def _add(self, quantity: Quantity, weight: float) -> None:
        metric, of = quantity.metric, quantity.of
        if metric in (CostMetric.LATENCY, CostMetric.MAKESPAN):
            self.busy += weight
            self.link += weight
        elif metric is CostMetric.PERIOD:
            self._add_loads(weight)
        elif metric is CostMetric.ENERGY:
            for d in range(len(self.problem.devices)) if of is None else (of,):
                self._add_energy(d, weight)
        elif metric is CostMetric.MEMORY:
            self.weight[slice(None) if of is None else of] += weight
        elif metric is CostMetric.TRAFFIC:
            self.traffic[slice(None) if of is None else of] += weight
        elif metric is CostMetric.NOISE:
            self.noise += weight
        else:
            self.busy += weight * np.array([d.price_per_s for d in self.problem.devices])
            self.traffic += weight * np.array([x.price_per_byte for x in self.problem.links])

    def _add_loads(self, weight: float) -> None:
        problem, shares = self.problem, self.loads.shares
        for d in range(len(problem.devices)):
            self.busy[d] += weight * shares[problem.physical_device(d)]
        for at, link in enumerate(problem.links):
            self.link[at] += weight * shares[len(problem.devices) + at]
            for d in (link.source, link.target):
                if problem.devices[d].transfers_block:
                    self.link[at] += weight * shares[problem.physical_device(d)]

    def _add_energy(self, device: int, weight: float) -> None:
        problem = self.problem
        if problem.physical_device(device) != device:
            return
        self.joules[device] += weight
        idle = problem.devices[device].idle_w * weight
        self.busy += idle
        self.link += idle
        for d, visit in enumerate(problem.devices):
            if problem.physical_device(d) == device:
                self.busy[d] += weight * (visit.active_w - visit.idle_w)
