"""The best plan of consecutive stages, by dynamic programming over sets of finished units.

The sets that hold all predecessors of their members (ideals) are what a pipeline can have done; between two
of them lies a stage. Tarnawski et al., "Efficient Algorithms for Device Placement of DNN Graph Operators",
NeurIPS 2020; here with links as loads of their own. Where a network has too many ideals, those along a few
topological orders take their place.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, product
from math import inf, prod

import numpy as np

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.solver.pipeline.pipeline_ideals import FinishedSets, finished_sets
from planner.solver.pipeline.pipeline_loads import Matrix, Pricing, StageLoads
from planner.solver.pipeline.pipeline_precisions import least_period_within_limits, with_short_crossings
from planner.solver.presolve.device_symmetry import interchangeable_devices

_MOST_WORK = 2e9  # pairs of ideals times states of devices; beyond it the integer program starts without this
_WORK_PER_S = 5e7  # of these, measured on a machine at work
_NOISE_STEPS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)  # prices of noise, of seconds per noise of all
PERIOD = Quantity(CostMetric.PERIOD)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A plan of one stage per device, at most.

    Parameters
    ----------
    bound_s
        No plan of the problem has a shorter period.
    proved
        Whether the plan minimises the objective: that is the period alone, and the bound meets it.
    """

    choice: Choice
    period_s: float
    bound_s: float
    proved: bool


@dataclass(frozen=True, slots=True)
class _Stage:
    """A class of devices, and the ideals before and behind its stage."""

    devices: int
    first: int
    last: int


def best_pipeline(
    problem: PlacementProblem,
    time_limit_s: float = inf,
    clock: Callable[[], float] = time.perf_counter,
    sets: FinishedSets | None = None,
) -> Pipeline | None:
    """Return the plan of least period found among those of one stage per device, and a bound on any plan's.

    None if the network or the devices are too many for the search, or every plan found breaks a limit.

    Parameters
    ----------
    time_limit_s
        Seconds after which no further plan is looked for; a search that would take longer is not begun.
    sets
        `finished_sets` of the problem, where they are at hand.
    """
    deadline = clock() + time_limit_s
    sets = sets or finished_sets(problem)
    units, ideals = sets.units, sets.members
    classes = interchangeable_devices(problem)
    classes += [[d] for d, device in enumerate(problem.devices) if device.visit_of is not None]
    states = prod(len(members) + 1 for members in classes)
    if not units or len(ideals) ** 2 * states * len(classes) > min(_MOST_WORK, _WORK_PER_S * time_limit_s):
        return None
    search = _Search(problem, units, classes)
    relaxed = StageLoads(problem, units, ideals, Pricing(is_bound=True))
    choice, bound_s = search.best(relaxed)
    bound_holds = sets.are_all and _is_pipeline(problem)
    priced: list[tuple[float, Choice]] = []
    for plan in chain([] if choice is None else [choice], search.plans(ideals)):
        cost = evaluate(problem, plan)
        if is_feasible(problem, cost):
            priced.append((cost.period_s, plan))
        is_best = bound_holds and priced and min(period_s for period_s, _ in priced) <= bound_s
        if is_best or clock() > deadline:
            break
    if not priced:
        return None
    period_s, best = min(priced, key=lambda pair: pair[0])
    if not bound_holds:
        bound_s = _least_load(problem, units)
    only_period = [term.quantity for term in problem.objective] == [PERIOD]
    return Pipeline(best, period_s, min(bound_s, period_s), only_period and period_s <= bound_s * (1 + 1e-9))


def _least_load(problem: PlacementProblem, units: list[int]) -> float:
    """Return seconds that the busiest device has at least: the largest unit, or an equal share of all."""
    seconds = [min((o.seconds for o in problem.vertices[v].options), default=0.0) for v in units]
    devices = sum(device.visit_of is None for device in problem.devices)
    return max(*seconds, sum(seconds) / devices)


def _is_pipeline(problem: PlacementProblem) -> bool:
    """Return whether each plan is a row of stages between ideals of all units."""
    revisited = any(device.visit_of is not None for device in problem.devices)
    # Groups are on one device, but perhaps in two of its visits.
    return all(device.contiguous for device in problem.devices) and not (revisited and problem.together)


@dataclass(frozen=True, slots=True)
class _Search:
    """Plans of a problem's units on its classes of devices."""

    problem: PlacementProblem
    units: list[int]
    classes: list[list[int]]

    def plans(self, ideals: np.typing.NDArray[np.bool_]) -> Iterator[Choice]:
        """Yield plans, from the fastest options to the ones of least noise until one keeps the limits."""
        for price in self._prices():
            choice, _ = self.best(StageLoads(self.problem, self.units, ideals, Pricing(price)))
            if choice is not None:
                yield choice
                short = with_short_crossings(self.problem, choice)
                yield short
                quieter = least_period_within_limits(self.problem, short)
                if quieter is not None:
                    yield quieter
                if is_feasible(self.problem, evaluate(self.problem, choice)):
                    return

    def _prices(self) -> Iterator[float]:
        yield 0.0
        options = [o for v in self.units for o in self.problem.vertices[v].options]
        noise = sum(o.noise_power for o in options)
        if noise > 0:
            seconds = sum(o.seconds for o in options)
            yield from (step * seconds / noise for step in _NOISE_STEPS)
            yield inf

    def best(self, loads: StageLoads) -> tuple[Choice | None, float]:
        """Return the plan of least period under these loads, None if there is none, and that period."""
        device_loads = [loads.device_load(members[0]) for members in self.classes]
        link_loads = [[self._link_load(loads, a, b) for b in self.classes] for a in self.classes]
        stages, period_s = _cheapest(device_loads, link_loads, [len(members) for members in self.classes])
        return (None if period_s == inf else self._choice(loads, stages)), period_s

    def _link_load(self, loads: StageLoads, source: list[int], target: list[int]) -> Matrix:
        # Between devices of one class every pair is like the first two.
        if source is not target:
            return loads.link_load(source[0], target[0])
        return loads.link_load(source[0], source[1]) if len(source) > 1 else np.full(len(loads.done), inf)

    def _choice(self, loads: StageLoads, stages: list[_Stage]) -> Choice:
        options = [0] * len(self.problem.vertices)
        used: Counter[int] = Counter()
        for stage in stages:  # alike devices in their order, which is known to suffice
            device = self.classes[stage.devices][used[stage.devices]]
            used[stage.devices] += 1
            for i in np.flatnonzero(loads.done[stage.last] & ~loads.done[stage.first]):
                vertex = self.units[i]
                option = loads.pricing.option(self.problem, vertex, device)
                if option is not None:
                    options[vertex] = self.problem.vertices[vertex].options.index(option)
        return Choice(tuple(options))


def _cheapest(
    device_loads: list[Matrix], link_loads: list[list[Matrix]], counts: list[int]
) -> tuple[list[_Stage], float]:
    """Return the best stages, and the greatest load of a device or link.

    A state says how many devices of each class are used, and which class had the last stage;
    least[used][last][ideal] is the least greatest load with which these have finished an ideal.
    """
    classes, size = range(len(counts)), len(device_loads[0])
    nothing = (0,) * len(counts)
    least = {used: np.full((len(counts), size), inf) for used in product(*(range(n + 1) for n in counts))}
    came_from = {used: np.full((len(counts), size, 2), -1) for used in least}  # last class, first ideal
    for used in least:
        for c in classes:
            if used[c] == 0:
                continue
            before = (*used[:c], used[c] - 1, *used[c + 1 :])
            if before == nothing:
                entry, last_class = np.full(size, inf), np.full(size, -1)
                entry[0] = 0.0
            else:
                entering = np.maximum(least[before], np.array([link_loads[e][c] for e in classes]))
                entry, last_class = entering.min(axis=0), entering.argmin(axis=0)
            rows = np.flatnonzero(np.isfinite(entry))
            if not rows.size:
                continue
            bottleneck = np.maximum(entry[rows, None], device_loads[c][rows])
            bottleneck[np.arange(rows.size), rows] = inf  # a stage without units is none
            first = bottleneck.argmin(axis=0)
            least[used][c] = bottleneck[first, np.arange(size)]
            came_from[used][c] = np.stack([last_class[rows[first]], rows[first]], axis=1)
    used, c = min(product(least, classes), key=lambda state: least[state[0]][state[1]][size - 1])
    period_s = float(least[used][c][size - 1])
    return ([] if period_s == inf else _stages(came_from, used, c, size - 1)), period_s


def _stages(
    came_from: dict[tuple[int, ...], np.typing.NDArray[np.int_]], used: tuple[int, ...], c: int, ideal: int
) -> list[_Stage]:
    """Return the stages that lead to a state, first to last."""
    stages: list[_Stage] = []
    while c >= 0:
        last_class, first = (int(x) for x in came_from[used][c][ideal])
        stages.append(_Stage(c, first, ideal))
        used, c, ideal = (*used[:c], used[c] - 1, *used[c + 1 :]), last_class, first
    return stages[::-1]
